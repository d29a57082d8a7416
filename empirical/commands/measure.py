"""The command `relstab measure`: R_f of a net of one's own, on images of one's own."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import tyro

from empirical.commands.net_and_images import NetAndImages
from theory.common.errors import MAXIMUM_SEED, InputError, require_choice, require_integer, require_real
from theory.common.files import require_writable_parent
from theory.common.terminal import Terminal

if TYPE_CHECKING:
    from torch import Tensor, nn

    from empirical.commands.measured_net import MeasuredNet
    from empirical.data.user_images import LabelledImages
    from empirical.nets.evaluation import BatchNorm
    from empirical.nets.preprocessing import Preprocessing
    from empirical.stability.measure import Average, Stability

__all__ = ["Measure", "require_torch"]

_DTYPES = ("float32", "float64", "float16", "bfloat16")


def require_torch() -> None:
    """InputError that says what to install where torch or torchvision is missing."""
    for name in ("torch", "torchvision"):
        try:
            there = find_spec(name) is not None  # without loading them, which takes seconds
        except ImportError:
            there = False
        if not there:
            raise InputError(name, "not installed", "this command needs pip install 'relstab[nets]'")


@dataclass(frozen=True)
class Measure(NetAndImages):
    """Measure D_f, G_f and R_f of your own net on your own images.

    Also its test error if the images have labels. They reach the net in [0, 1], or as (x - mean) / std if these are
    given; labels are the classes' places in the order of their names. Nets of timm, torchvision and transformers come
    with a size and a normalisation of their own, which is printed, and which image-size, crop, mean and std replace.

    For example:
    - `relstab measure --model my_package.nets:make --weights net.safetensors --data photos --image-size 64`
    - `relstab measure --model resnet18 --weights net.pt --data fashion-mnist --data-folder DATA --image-size 32`
    - `relstab measure --model timm:resnet18 --weights net.safetensors --data photos --test-images 0`
    - `relstab measure --model my_nets:make --data images.npz --displacements 0.5 1 --layers`
    """

    cutoffs: Annotated[tuple[int, ...], tyro.conf.arg(aliases=["--cutoff"])] = (3,)
    """c of the diffeomorphisms."""
    displacements: Annotated[tuple[float, ...] | None, tyro.conf.arg(aliases=["--displacement"])] = None
    """delta of the diffeomorphisms in pixels; 1 if no temperature is given either."""
    temperatures: Annotated[tuple[float, ...] | None, tyro.conf.arg(aliases=["--temperature"])] = None
    """T of the diffeomorphisms, instead."""
    calibration: str = "paper"
    """How a displacement sets T: paper or exact."""
    interpolation: str = "bilinear"
    """bilinear, nearest or gaussian."""
    folding: str = "keep"
    """keep refuses T > T_max; reject also draws folded fields anew; allow takes any T."""
    average: str = "mean"
    """Over images: mean, median or coordinate-median."""
    batch_norm: str | None = None
    """Statistics of batch norm: running; clean, of the clean images, for a net at its start; or own. By default running
    with weights or for a model of your own, clean for ours without."""
    batch_size: int = 64
    """Images in one forward pass."""
    layers: bool = False
    """Also every layer's D, G and R, by means, at the first cutoff and displacement."""
    equivariance: bool = False
    """With layers, also how far each is from following the deformation, over pairs and over noise."""
    layers_output: Path | None = None
    """Table of the layers to write, .csv; with layers."""
    device: str = "cpu"
    """cpu, cuda, ..."""
    train_size: int | None = None
    """P, how many points the net was trained on: for the table, which needs it."""
    output: Path | None = None
    """Curve table to write, .csv or .parquet; needs train-size."""
    json: bool = False
    """Print JSON instead of a table."""

    def run(self) -> dict[str, Any]:
        require_torch()
        import torch

        from empirical.commands.measure_output import (
            equivariance_summary,
            law_error,
            print_layers,
            print_stability,
            write_layers,
        )
        from empirical.commands.measured_net import MeasuredNet, read_data
        from empirical.nets.evaluation import classification_error, is_sealed
        from empirical.nets.preprocessing import published
        from empirical.stability.layers import measure_layers
        from empirical.stability.probes import draw_probes
        from empirical.stability.ranges import measure_range
        from empirical.training.devices import require_device

        terminal = Terminal(self.json)
        self._check()
        preprocessing = published(self.model).overridden(self.image_size, self.crop, self.mean, self.std)
        data = read_data(self, preprocessing)
        device, dtype = require_device(self.device), getattr(torch, self.dtype)
        net = MeasuredNet.of(self, data, preprocessing, device, dtype)
        model = net.model
        if self.layers and any(is_sealed(module) for module in model.modules()):
            raise InputError("layers", self.model, "has none to look into: give the module that it was made of")
        pixels = data.pixels[: self.probe_images]
        images = (pixels if pixels.is_floating_point() else pixels.float() / 255).to(device, dtype)
        average = cast("Average", self.average)
        batch_norm = cast("BatchNorm", self.batch_norm or self._usual_batch_norm(model))
        if data.labels is not None:
            self._check_labels(data, net.outputs)
        doubts = self._doubts(net, data, images, preprocessing, batch_norm)
        for doubt in doubts:
            warnings.warn(doubt, stacklevel=2)
        fields: dict[str, Any] = {
            name: getattr(self, name) for name in ("calibration", "interpolation", "folding")
        }
        with terminal.progress("measure") as report:
            results = measure_range(
                model, images, cutoffs=self.cutoffs, displacements=self.displacements, temperatures=self.temperatures,
                rng=self.seed, average=average, batch_norm=batch_norm, batch_size=self.batch_size, **fields,
                progress=lambda part: report(part, f"{part:.0%}"),
            )  # fmt: skip
        tested = data.pixels[: self.test_images]
        error = None
        if data.labels is not None and len(tested):
            labels = data.labels[: self.test_images].to(device)
            error = classification_error(model, tested.to(device), labels, self.batch_size, dtype)
        total = len(data.pixels) if data.total is None else data.total
        side = images.shape[-1]
        title = f"{self.model} on {len(images)} of {total} images of {data.name}, {side} x {side}"
        print_stability(terminal, f"{title}; 95 % over images and probes", data.name, results)
        if preprocessing.mean or preprocessing.framing:
            terminal.line(f"images: {preprocessing}")
        if error is not None:
            terminal.line(f"test error {error:.4f} (n={len(tested)})")
        found = []
        if self.layers:
            first: dict[str, Any] = {} if self.displacements is None else {"displacement": self.displacements[0]}
            if self.temperatures is not None:
                first = {"temperature": self.temperatures[0]}
            probes = draw_probes(images, cutoff=self.cutoffs[0], **first, rng=self.seed, **fields)
            found = measure_layers(
                model, probes, rng=self.seed, batch_size=self.batch_size, batch_norm=batch_norm,
                equivariance=self.equivariance,
            )  # fmt: skip
            if not found:
                raise InputError("layers", self.model, "has none to look into: give the module that it was made of")
            print_layers(terminal, f"layer by layer, c = {probes.cutoff}, delta = {probes.displacement:.3g}", found)
            if self.layers_output is not None:
                write_layers(found, self.layers_output, self.model, data.name)
                terminal.line(f"wrote {self.layers_output}")
        if self.output is not None:
            from theory.common.table import curve_table, write_table

            write_table(curve_table([self._row(data, s, error) for s in results]), self.output)
            terminal.line(f"wrote {self.output}")
        terminal.line(self._next())
        return {
            "model": self.model,
            "data": data.name,
            "images": len(images),
            "preprocessing": str(preprocessing),
            "doubts": doubts,
            "test_error": error,
            "test_images": 0 if error is None else len(tested),
            "stability": [{**s.summary(), "law_error": law_error(data.name, s)} for s in results],
            "layers": [
                {"name": one.name, "kind": one.kind, **one.stability.summary(), **equivariance_summary(one)}
                for one in found
            ],
        }

    def _check(self) -> None:
        require_integer("images", self.probe_images, 2)
        if self.test_images is not None:
            require_integer("test_images", self.test_images, 0)
        require_choice("dtype", self.dtype, _DTYPES)
        if self.weights is None and (self.weights_key is not None or self.not_strict):
            raise InputError("weights", None, "must be given with weights_key and not_strict")
        require_integer("batch_size", self.batch_size, 1)
        require_integer("seed", self.seed, 0, MAXIMUM_SEED)
        require_choice("average", self.average, ("mean", "median", "coordinate-median"))
        require_choice("batch_norm", self.batch_norm or "running", ("running", "clean", "own"))
        require_choice("calibration", self.calibration, ("paper", "exact"))
        require_choice("interpolation", self.interpolation, ("bilinear", "nearest", "gaussian"))
        require_choice("folding", self.folding, ("keep", "reject", "allow"))
        if len(self.mean) != len(self.std):
            raise InputError("mean, std", (self.mean, self.std), "must be given together, a number for each channel")
        for value in self.std:
            require_real("std", value, above=0)
        if self.layers and self.average != "mean":
            raise InputError("average", self.average, "must be mean with layers")
        if self.equivariance and not self.layers:
            raise InputError("equivariance", True, "is measured with layers only")
        if self.layers_output is not None:
            if not self.layers:
                raise InputError("layers_output", str(self.layers_output), "is written with layers only")
            if self.layers_output.suffix != ".csv":
                raise InputError("layers_output", str(self.layers_output), "must end in .csv")
            require_writable_parent("layers_output", self.layers_output)
        if self.train_size is not None:
            require_integer("train_size", self.train_size, 1)
        if self.output is not None:
            if self.train_size is None:
                raise InputError("train_size", None, "must be given with output: the table is one of R_f against P")
            from theory.common.table import require_table_path  # pandas loads with it

            require_table_path("output", self.output)

    def _usual_batch_norm(self, model: nn.Module) -> str:
        """A net that was never trained has running statistics of 0 and 1, which no layer's input has."""
        from empirical.commands.measured_net import is_library
        from empirical.nets.named_nets import never_trained

        if not never_trained(model):
            return "running"
        if self.weights is None and (":" not in self.model or is_library(self.model)):
            return "clean"
        warnings.warn("batch norm has seen no batch: --batch-norm clean takes the images' statistics", stacklevel=2)
        return "running"

    def _doubts(
        self, net: MeasuredNet, data: LabelledImages, images: Tensor, preprocessing: Preprocessing,
        batch_norm: BatchNorm,
    ) -> list[str]:  # fmt: skip
        """What is measured all the same, but may not be what was meant."""
        from empirical.nets.evaluation import still
        from empirical.stability.doubts import input_doubts, label_doubts, output_doubts

        with still(net.model, images, batch_norm, self.batch_size) as run:
            found = output_doubts(run, images)
        found += input_doubts(images, preprocessing.mean, preprocessing.std)
        if net.flattened is not None:
            shape = " x ".join(map(str, net.flattened))
            found.append(f"the outputs are {shape} an image, features and no logits: they are measured flattened")
        if data.labels is not None:
            found += label_doubts(net.outputs, data.class_count or 0)
        return found

    def _next(self) -> str:
        """What there is to type next."""
        options = [
            ("--layers shows where in the net", self.layers),
            ("--displacements 0.5 1 2 at which size", len(self.displacements or self.temperatures or (1,)) > 1),
            ("--output net.csv --train-size P is for relstab compare", self.output is not None),
        ]
        left = [words for words, used in options if not used]
        return f"next: {'; '.join(left)}" if left else f"next: relstab compare {self.output}"

    def _check_labels(self, data: LabelledImages, outputs: int) -> None:
        """Labels must be places among the outputs."""
        assert data.labels is not None
        for value in (int(data.labels.min()), int(data.labels.max())):
            if not 0 <= value < outputs:
                raise InputError("labels", value, f"must be at least 0 and below {outputs}, the number of outputs")

    def _row(self, data: LabelledImages, stability: Stability, error: float | None) -> dict[str, Any]:
        row: dict[str, Any] = {
            "source": "own-net",
            "task": data.name,
            "architecture": self.model,
            "train_size": self.train_size,
            "seed": self.seed,
            "stage": "initial" if self.weights is None else "trained",
            **stability.row(),
        }
        return row if error is None else row | {"test_error": error}

