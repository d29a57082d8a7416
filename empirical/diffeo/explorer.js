// The explorer of diffeomorphisms: fields drawn and images deformed in the reader's browser, with the
// conventions of theory/ensemble/diffeomorphisms.py and empirical/diffeo/fields.py, to which a test holds it.
(function () {
  "use strict";

  // 32-bit words: xoshiro128** (Blackman and Vigna), its state filled by splitmix32.
  function words(seed) {
    var mixed = seed | 0;
    function mix() {
      mixed = (mixed + 0x9e3779b9) | 0;
      var t = mixed ^ (mixed >>> 16);
      t = Math.imul(t, 0x21f0aaad);
      t = Math.imul(t ^ (t >>> 15), 0x735a2d97);
      return t ^ (t >>> 15);
    }
    var a = mix(), b = mix(), c = mix(), d = mix();
    function turn(x, k) { return (x << k) | (x >>> (32 - k)); }
    return function () {
      var word = Math.imul(turn(Math.imul(b, 5), 7), 9) >>> 0;
      var shifted = b << 9;
      c ^= a; d ^= b; b ^= c; a ^= d; c ^= shifted; d = turn(d, 11);
      return word;
    };
  }

  // Uniform numbers in (0, 1], of 53 bits each.
  function uniform(seed) {
    var next = words(seed);
    return function () { return ((next() >>> 5) * 67108864 + (next() >>> 6) + 1) / 9007199254740992; };
  }

  function uniforms(seed, count) {
    var draw = uniform(seed), out = new Float64Array(count);
    for (var k = 0; k < count; k++) out[k] = draw();
    return out;
  }

  // Standard normal numbers, by Box and Muller.
  function normals(seed, count) {
    var draw = uniform(seed), out = new Float64Array(count);
    for (var k = 0; k < count; k += 2) {
      var radius = Math.sqrt(-2 * Math.log(draw())), angle = 2 * Math.PI * draw();
      out[k] = radius * Math.cos(angle);
      if (k + 1 < count) out[k + 1] = radius * Math.sin(angle);
    }
    return out;
  }

  // Coefficients at T = 1: two arrays, C_ij at [(i - 1) cutoff + j - 1]. Drawn from small r to large, so that
  // a larger cutoff adds modes to the same field.
  function coefficients(cutoff, seed) {
    var modes = [];
    for (var i = 1; i <= cutoff; i++) {
      for (var j = 1; j <= cutoff; j++) {
        var r = Math.sqrt(i * i + j * j);
        if (r < cutoff + 0.5) modes.push([r, (i - 1) * cutoff + j - 1, i]);
      }
    }
    modes.sort(function (one, other) { return one[0] - other[0] || one[2] - other[2]; });
    var drawn = normals(seed, 2 * modes.length);
    var u = new Float64Array(cutoff * cutoff), v = new Float64Array(cutoff * cutoff);
    modes.forEach(function (mode, k) {
      u[mode[1]] = drawn[2 * k] / mode[0];
      v[mode[1]] = drawn[2 * k + 1] / mode[0];
    });
    return [u, v];
  }

  // sin(k pi x) on linspace(0, 1, size), or its derivative; row k - 1. The border is zero, not a rounding error.
  function waves(size, cutoff, slope) {
    var out = new Float64Array(cutoff * size);
    for (var k = 1; k <= cutoff; k++) {
      for (var x = 0; x < size; x++) {
        var at = k * Math.PI * x / (size - 1), edge = x === 0 || x === size - 1;
        out[(k - 1) * size + x] = slope ? k * Math.PI * Math.cos(at) : edge ? 0 : Math.sin(at);
      }
    }
    return out;
  }

  // scale sum_ij C_ij along_i(x) down_j(y), at [y size + x].
  function series(C, cutoff, size, along, down, scale) {
    var out = new Float64Array(size * size), row = new Float64Array(cutoff);
    for (var y = 0; y < size; y++) {
      for (var i = 0; i < cutoff; i++) {
        row[i] = 0;
        for (var j = 0; j < cutoff; j++) row[i] += C[i * cutoff + j] * down[j * size + y];
      }
      for (var x = 0; x < size; x++) {
        var sum = 0;
        for (i = 0; i < cutoff; i++) sum += row[i] * along[i * size + x];
        out[y * size + x] = scale * sum;
      }
    }
    return out;
  }

  // Displacements [dx, dy] in pixels: size tau.
  function field(pair, cutoff, size, temperature) {
    var sine = waves(size, cutoff, false);
    return pair.map(function (C) {
      return series(C, cutoff, size, sine, sine, size * Math.sqrt(temperature));
    });
  }

  // det(1 - grad tau) at every pixel; the field folds where it is not above 0.
  function determinant(pair, cutoff, size, temperature) {
    var sine = waves(size, cutoff, false), slope = waves(size, cutoff, true), root = Math.sqrt(temperature);
    var ux = series(pair[0], cutoff, size, slope, sine, root), uy = series(pair[0], cutoff, size, sine, slope, root);
    var vx = series(pair[1], cutoff, size, slope, sine, root), vy = series(pair[1], cutoff, size, sine, slope, root);
    return ux.map(function (value, k) { return (1 - value) * (1 - vy[k]) - uy[k] * vx[k]; });
  }

  // Pixels of shape size x size x channels, read at (y - dy, x - dx) clamped to the image, bilinear.
  function deform(pixels, size, channels, moved) {
    var out = new Float64Array(size * size * channels), last = size - 1;
    for (var y = 0; y < size; y++) {
      for (var x = 0; x < size; x++) {
        var k = y * size + x;
        var sx = Math.min(Math.max(x - moved[0][k], 0), last), sy = Math.min(Math.max(y - moved[1][k], 0), last);
        var x0 = Math.floor(sx), y0 = Math.floor(sy), x1 = Math.min(x0 + 1, last), y1 = Math.min(y0 + 1, last);
        var fx = sx - x0, fy = sy - y0;
        for (var a = 0; a < channels; a++) {
          var top = pixels[(y0 * size + x0) * channels + a] * (1 - fx) + pixels[(y0 * size + x1) * channels + a] * fx;
          var low = pixels[(y1 * size + x0) * channels + a] * (1 - fx) + pixels[(y1 * size + x1) * channels + a] * fx;
          out[k * channels + a] = top * (1 - fy) + low * fy;
        }
      }
    }
    return out;
  }

  // The paper's typical displacement in pixels, and [T_min, T_max].
  function displacement(temperature, cutoff, size) {
    return size / 2 * Math.sqrt(Math.PI * temperature * Math.log(cutoff));
  }

  function temperatureRange(cutoff, size) {
    var log = Math.log(cutoff);
    return [1 / (Math.PI * size * size * log), 4 / (Math.pow(Math.PI, 3) * cutoff * cutoff * log)];
  }

  window.relstabExplorer = {
    uniforms: uniforms, normals: normals, coefficients: coefficients, field: field, determinant: determinant,
    deform: deform, displacement: displacement, temperatureRange: temperatureRange
  };

  // The page's part.
  var section = document.getElementById("explorer");
  if (!section) return;
  var images = JSON.parse(document.getElementById("explorer-images").textContent).map(function (image) {
    var bytes = atob(image.pixels), pixels = new Float64Array(bytes.length);
    for (var k = 0; k < bytes.length; k++) pixels[k] = bytes.charCodeAt(k);
    return { size: image.size, channels: image.channels, pixels: pixels };
  });
  function part(name) { return document.getElementById("explorer-" + name); }

  function number(value) {
    return value >= 0.01 && value < 1000 ? value.toPrecision(3) : value.toExponential(1).replace("e-", "e−");
  }

  function paint(name, pixels, image) {
    var canvas = part(name), n = image.size;
    canvas.width = canvas.height = n;
    var context = canvas.getContext("2d"), data = context.createImageData(n, n);
    for (var k = 0; k < n * n; k++) {
      for (var a = 0; a < 3; a++) data.data[4 * k + a] = Math.round(pixels[k * image.channels + (image.channels === 3 ? a : 0)]);
      data.data[4 * k + 3] = 255;
    }
    context.putImageData(data, 0, 0);
  }

  // Lines through the points that the deformed image is read at, or arrows to them; folded pixels in red.
  function chart(moved, det, n) {
    var canvas = part("map"), side = 480, room = 12;
    canvas.width = canvas.height = side;
    var context = canvas.getContext("2d"), style = getComputedStyle(document.documentElement);
    var scale = (side - 2 * room) / (n - 1);
    function place(x, y, share) {
      var k = y * n + x;
      return [room + scale * (x - share * moved[0][k]), room + scale * (y - share * moved[1][k])];
    }
    context.fillStyle = style.getPropertyValue("--fold");
    for (var k = 0; k < n * n; k++) {
      if (det[k] > 0) continue;
      var at = place(k % n, Math.floor(k / n), 1), width = Math.max(scale, 3);
      context.fillRect(at[0] - width / 2, at[1] - width / 2, width, width);
    }
    context.strokeStyle = style.getPropertyValue("--accent");
    context.lineWidth = 1;
    context.beginPath();
    var step = Math.max(1, Math.round((n - 1) / 24));
    var stops = [];
    for (var s = 0; s < n - 1; s += step) stops.push(s);
    if (n - 1 - stops[stops.length - 1] < step / 2) stops.pop();
    stops.push(n - 1);
    if (part("view").value === "grid") {
      stops.forEach(function (stop) {
        [true, false].forEach(function (row) {
          for (var t = 0; t < n; t++) {
            var p = row ? place(t, stop, 1) : place(stop, t, 1);
            if (t) context.lineTo(p[0], p[1]); else context.moveTo(p[0], p[1]);
          }
        });
      });
    } else {
      stops.forEach(function (y) {
        stops.forEach(function (x) {
          var from = place(x, y, 0), to = place(x, y, 1), turn = Math.atan2(to[1] - from[1], to[0] - from[0]);
          var head = Math.min(6, Math.hypot(to[0] - from[0], to[1] - from[1]) / 2);
          context.moveTo(from[0], from[1]);
          context.lineTo(to[0], to[1]);
          [-0.5, 0.5].forEach(function (side) {
            context.moveTo(to[0], to[1]);
            context.lineTo(to[0] - head * Math.cos(turn + side), to[1] - head * Math.sin(turn + side));
          });
        });
      });
    }
    context.stroke();
  }

  // What a reader who does not see the pictures is told of them; on paper the sliders are not seen either.
  function describe(cutoff, seed, temperature, folds) {
    var image = part("image").selectedOptions[0].textContent, view = part("view").value;
    var drawn = "T = " + number(temperature) + ", c = " + cutoff + ", seed " + seed;
    var field = "field of " + drawn + ", which " + folds;
    part("clean").setAttribute("aria-label", image + ", clean");
    part("deformed").setAttribute("aria-label", image + ", deformed by the " + field);
    part("map").setAttribute("aria-label", (view === "grid" ? "Grid" : "Arrows") + " of the " + field);
    part("caption").textContent = "deformed, " + drawn;
    part("temperature").setAttribute("aria-valuetext", part("temperature-is").textContent);
  }

  function draw() {
    var image = images[Number(part("image").value)], n = image.size;
    part("cutoff").max = Math.min(20, n - 1);
    var cutoff = Number(part("cutoff").value), seed = Number(part("seed").value);
    var temperature = Math.pow(10, Number(part("temperature").value));
    var pair = coefficients(cutoff, seed);
    var moved = field(pair, cutoff, n, temperature), det = determinant(pair, cutoff, n, temperature);
    paint("clean", image.pixels, image);
    paint("deformed", deform(image.pixels, n, image.channels, moved), image);
    chart(moved, det, n);
    var range = temperatureRange(cutoff, n), folded = 0, square = 0;
    for (var k = 0; k < n * n; k++) {
      folded += det[k] > 0 ? 0 : 1;
      square += (moved[0][k] * moved[0][k] + moved[1][k] * moved[1][k]) / (n * n);
    }
    part("temperature-is").textContent = "T = " + number(temperature) + ", δ = " +
      number(displacement(temperature, cutoff, n)) + " px";
    part("cutoff-is").textContent = "c = " + cutoff;
    part("seed-is").textContent = String(seed);
    var between = "[T_min, T_max] = [" + number(range[0]) + ", " + number(range[1]) + "]";
    var where = temperature < range[0] ? "T lies below " + between + ": the image moves less than half a pixel." :
      temperature > range[1] ? "T lies above " + between + ": many fields fold." : "T lies inside " + between + ".";
    part("range").textContent = range[0] >= range[1] ? "c is so large that no T is in the range: T_min = " +
      number(range[0]) + " is not below T_max = " + number(range[1]) + "." : where;
    part("fold").textContent = folded ?
      "This field folds: det(1 − ∇τ) ≤ 0 at " + folded + " of " + n * n + " pixels (red)." :
      "This field does not fold: det(1 − ∇τ) > 0 at every pixel.";
    part("fold").dataset.folds = String(folded > 0);
    describe(cutoff, seed, temperature, folded ? "folds at " + folded + " of " + n * n + " pixels" : "does not fold");
    part("rms").textContent = "Its own root-mean-square displacement over the pixels is " + number(Math.sqrt(square)) + " px.";
  }

  ["image", "view", "temperature", "cutoff", "seed"].forEach(function (name) {
    part(name).addEventListener("input", draw);
  });
  part("image").addEventListener("change", draw);
  part("view").addEventListener("change", draw);
  part("another").addEventListener("click", function () {
    part("seed").value = (Number(part("seed").value) + 1) % (Number(part("seed").max) + 1);
    draw();
  });
  document.addEventListener("relstab-theme", draw);
  // Midway between the two ends of the range, on the logarithmic scale.
  var ends = temperatureRange(Number(part("cutoff").value), images[0].size);
  part("temperature").value = Math.log10(ends[0] * ends[1]) / 2;
  draw();
})();
