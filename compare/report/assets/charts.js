// What the reader may change in all figures at once: which series are seen, the axes' scales, light or dark.
(function () {
  "use strict";
  var root = document.documentElement;
  var scheme = window.matchMedia("(prefers-color-scheme: dark)");
  var series = JSON.parse(document.getElementById("series").textContent);
  var printing = false;
  var PRINTED = 670; // pixels that an A4 page is wide between its margins

  function each(selector, call) { Array.prototype.forEach.call(document.querySelectorAll(selector), call); }

  function dark() {
    var chosen = root.dataset.theme;
    return !printing && (chosen ? chosen === "dark" : scheme.matches);
  }

  function ticked(name) {
    var box = document.getElementById(name);
    return !box || box.checked;
  }

  // A series is seen while none of its values is unticked.
  function seen() {
    var without = {};
    each("#toggles input[data-facet]", function (box) {
      if (!box.checked) (without[box.dataset.facet] = without[box.dataset.facet] || {})[box.value] = true;
    });
    return series.map(function (one) {
      return Object.keys(without).every(function (facet) { return !without[facet][one[facet]]; });
    });
  }

  function axis(change, gd, name, logarithmic) {
    var first = gd.relstabAxes[name];
    change[name + ".type"] = logarithmic ? "log" : "linear";
    change[name + ".range"] = logarithmic ? first.range.slice() : [0, Math.pow(10, first.range[1])];
    change[name + ".tickmode"] = logarithmic ? "array" : "auto";
    change[name + ".tickvals"] = logarithmic ? first.tickvals : null;
    change[name + ".ticktext"] = logarithmic ? first.ticktext : null;
    change[name + ".nticks"] = logarithmic ? 0 : 6;
    // Few ticks where there is little room.
    if (logarithmic && name === "xaxis" && !printing && gd.clientWidth < 480 && first.tickvals.length > 5) {
      change[name + ".tickvals"] = first.tickvals.filter(function (_, k) { return k % 2 === 0; });
      change[name + ".ticktext"] = first.ticktext.filter(function (_, k) { return k % 2 === 0; });
    }
  }

  // The legend stands below the plotting area, in as many columns as fit: give it the height that it takes.
  function makeRoom(gd) {
    var legend = gd.querySelector(".legend .bg");
    var below = gd.relstabBelow + (legend ? Math.ceil(legend.getBoundingClientRect().height) + 14 : 0);
    if (below === gd.layout.margin.b) return null;
    gd.style.height = gd.relstabArea + below + "px";
    return window.Plotly.relayout(gd, { height: gd.relstabArea + below, "margin.b": below });
  }

  // A figure that is folded away has no size: it is drawn when it is shown.
  function draw(gd) {
    if (!(gd.checkVisibility ? gd.checkVisibility() : gd.offsetParent)) return Promise.resolve();
    if (!gd.relstabAxes) {
      gd.relstabAxes = { xaxis: clone(gd.layout.xaxis), yaxis: clone(gd.layout.yaxis) };
      gd.relstabArea = gd.layout.height - gd.layout.margin.b;
      gd.relstabBelow = gd.layout.meta.below;
      gd.on("plotly_doubleclick", function () { draw(gd); });
    }
    var text = dark() ? "#d6dae0" : "#30363d", shown = seen();
    var change = {
      "font.color": text, "xaxis.linecolor": text, "yaxis.linecolor": text,
      "hoverlabel.bgcolor": dark() ? "#1f242a" : "#ffffff", "hoverlabel.font.color": text,
      "legend.maxheight": !printing && gd.clientWidth < 480 ? 230 : 5000,
      width: printing ? PRINTED : null, autosize: !printing
    };
    axis(change, gd, "xaxis", ticked("log-x"));
    axis(change, gd, "yaxis", ticked("log-y"));
    var traces = [], visible = [];
    gd.data.forEach(function (trace, k) {
      if (typeof trace.meta !== "number") return;
      var now = shown[trace.meta];
      // What the legend itself hid stays hidden until its group is hidden and shown again.
      if (now === (trace.visible !== false)) return;
      traces.push(k);
      visible.push(now);
    });
    var step = traces.length ? window.Plotly.update(gd, { visible: visible }, change, traces) :
      window.Plotly.relayout(gd, change);
    return step.then(function () { return makeRoom(gd); });
  }

  function clone(value) { return JSON.parse(JSON.stringify(value)); }

  var waiting = Promise.resolve();
  function drawAll() {
    each(".plotly-graph-div", function (gd) { waiting = waiting.then(function () { return draw(gd); }); });
    return waiting;
  }

  function painted() {
    drawAll();
    document.dispatchEvent(new Event("relstab-theme"));
  }

  each("#controls input", function (box) { box.addEventListener("change", drawAll); });
  each("#controls button[data-tick]", function (button) {
    button.addEventListener("click", function () {
      Array.prototype.forEach.call(button.closest("fieldset").querySelectorAll("input"), function (box) {
        box.checked = button.dataset.tick === "all";
      });
      drawAll();
    });
  });
  each("details", function (part) {
    part.addEventListener("toggle", function () { if (part.open && part.querySelector(".plotly-graph-div")) drawAll(); });
  });
  document.getElementById("theme").addEventListener("change", function (event) {
    if (event.target.value) root.dataset.theme = event.target.value; else delete root.dataset.theme;
    painted();
  });
  scheme.addEventListener("change", painted);
  var width = window.innerWidth, timer = 0;
  window.addEventListener("resize", function () {
    if (printing || window.innerWidth === width) return;
    width = window.innerWidth;
    clearTimeout(timer);
    timer = setTimeout(drawAll, 250);
  });

  // On paper the page is light and nothing is folded away; afterwards it is as it was.
  var paper = window.matchMedia("print"), chosen, folded = [];
  function toPaper() {
    if (printing) return;
    printing = true;
    chosen = root.dataset.theme;
    root.dataset.theme = "light";
    folded = Array.prototype.slice.call(document.querySelectorAll("details:not([open])"));
    folded.forEach(function (part) { part.open = true; });
    each(".plotly-graph-div", draw); // at once: the printer does not wait
    document.dispatchEvent(new Event("relstab-theme"));
  }
  function fromPaper() {
    if (!printing) return;
    printing = false;
    if (chosen) root.dataset.theme = chosen; else delete root.dataset.theme;
    folded.forEach(function (part) { part.open = false; });
    painted();
  }
  window.addEventListener("beforeprint", toPaper);
  window.addEventListener("afterprint", fromPaper);
  paper.addEventListener("change", function () { if (paper.matches) toPaper(); else fromPaper(); });
  window.relstabDrawn = drawAll();
  window.relstabRedraw = drawAll;
})();
