"""The command `relstab measure`: R_f of a net of one's own, on images of one's own."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import tyro

from empirical.nets.user_code import asked_for, failing, load_function
from empirical.training.config import image_side
from theory.common.errors import MAXIMUM_SEED, InputError, require_choice, require_integer, require_real
from theory.common.files import require_writable_parent, write_whole
from theory.common.table import curve_table, require_table_path, write_table
from theory.common.terminal import Terminal

if TYPE_CHECKING:
    from torch import nn

    from empirical.data.user_images import LabelledImages
    from empirical.nets.evaluation import BatchNorm
    from empirical.stability.layers import LayerStability
    from empirical.stability.measure import Average, Stability

__all__ = ["Measure", "require_torch"]

#: eps ~ 0.2 sqrt(R_f), CIFAR10 at one pixel (arXiv 2105.02468, figure 4).
_LAW = 0.2


def require_torch() -> None:
    """InputError that says what to install where torch or torchvision is missing."""
    try:
        import torchvision  # noqa: F401
    except ImportError as error:
        missing = error.name or "torch"
        raise InputError(missing, "not installed", "this command needs pip install 'relstab[nets]'") from error


@dataclass(frozen=True)
class Measure:
    """Measure D_f, G_f and R_f of your own net on your own images.

    Also its test error if the images have labels. They reach the net in [0, 1], or as (x - mean) / std if these are
    given; labels are the classes' places in the order of their names.

    For example:
    - `relstab measure --model my_package.nets:make --weights net.safetensors --data photos`
    - `relstab measure --model resnet18 --weights net.pt --data fashion-mnist --data-folder DATA --image-size 32`
    - `relstab measure --model my_nets:make --data images.npz --displacements 0.5 1 --layers`
    """

    model: str
    """package.module:factory, or the name of one of relstab's architectures. Of a factory's parameters those named
    channels, size (of the images) and classes are given, if the data tell; the others keep their defaults."""
    data: str
    """A folder of images (folders in it are classes), an .npz file with images and maybe labels, or a data set."""
    weights: Path | None = None
    """State dict: .safetensors, or torch's format holding tensors alone. Without, the net as it is made. Those that
    relstab train and sweep keep hold the normalisation too."""
    data_folder: Path | None = None
    """Folder of the named data sets; the environment variable RELSTAB_DATA otherwise."""
    image_size: int | None = None
    """Resize a named data set to this side."""
    images: int = 500
    """Probe images, the first of the data."""
    mean: tuple[float, ...] = ()
    """Of each channel, subtracted; with std."""
    std: tuple[float, ...] = ()
    """Of each channel, divided by; with mean."""
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
    layers_output: Path | None = None
    """Table of the layers to write, .csv; with layers."""
    seed: int = 0
    """Draws the net's start, diffeomorphisms and noise."""
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
        from empirical.nets.evaluation import classification_error
        from empirical.stability.layers import measure_layers
        from empirical.stability.probes import draw_probes
        from empirical.stability.ranges import measure_range
        from empirical.training.devices import require_device

        terminal = Terminal(self.json)
        self._check()
        data = self._images()
        device = require_device(self.device)
        model = self._model(data).to(device)
        images = data.images[: self.images].to(device)
        average = cast("Average", self.average)
        batch_norm = cast("BatchNorm", self.batch_norm or self._usual_batch_norm(model))
        fields: dict[str, Any] = {
            name: getattr(self, name) for name in ("calibration", "interpolation", "folding")
        }
        outputs = self._outputs(model, images)
        if data.labels is not None:
            self._check_labels(data, outputs)
        with terminal.progress("measure") as report:
            results = measure_range(
                model, images, cutoffs=self.cutoffs, displacements=self.displacements, temperatures=self.temperatures,
                rng=self.seed, average=average, batch_norm=batch_norm, batch_size=self.batch_size, **fields,
                progress=lambda part: report(part, f"{part:.0%}"),
            )  # fmt: skip
        error = None
        if data.labels is not None:
            error = classification_error(model, data.images.to(device), data.labels.to(device), self.batch_size)
        terminal.table(
            f"{self.model} on {len(images)} of {len(data.images)} images of {data.name}, "
            f"{images.shape[-1]} x {images.shape[-1]}; 95 % over images and probes",
            ["c", "delta", "R_f", "D_f", "G_f", "folded", f"{_LAW} sqrt(R_f)"],
            [
                [str(s.cutoff), f"{s.displacement:.3g}", *(e.short for e in (s.relative, s.diffeo, s.noise)),
                 f"{s.folded_fraction:.1%}", f"{_LAW * math.sqrt(s.relative.value):.3g}"]
                for s in results
            ],
        )  # fmt: skip
        if error is not None:
            terminal.line(f"test error {error:.4f} (n={len(data.images)})")
        terminal.line(f"{_LAW} sqrt(R_f) is the test error that the paper's law for CIFAR10 at one pixel would give")
        found = []
        if self.layers:
            first: dict[str, Any] = {} if self.displacements is None else {"displacement": self.displacements[0]}
            if self.temperatures is not None:
                first = {"temperature": self.temperatures[0]}
            probes = draw_probes(images, cutoff=self.cutoffs[0], **first, rng=self.seed, **fields)
            found = measure_layers(
                model, probes, rng=self.seed, batch_size=self.batch_size, batch_norm=batch_norm
            )
            terminal.line()
            terminal.table(
                f"layer by layer, c = {probes.cutoff}, delta = {probes.displacement:.3g}",
                ["layer", "kind", "R_k", "D_k", "G_k"],
                [
                    [one.name, one.kind, *(e.short for e in (s.relative, s.diffeo, s.noise))]
                    for one, s in ((one, one.stability) for one in found)
                ],
            )  # fmt: skip
            if self.layers_output is not None:
                _write_layers(found, self.layers_output, self.model, data.name)
                terminal.line(f"wrote {self.layers_output}")
        if self.output is not None:
            write_table(curve_table([self._row(data, s, error) for s in results]), self.output)
            terminal.line(f"wrote {self.output}")
        return {
            "model": self.model,
            "data": data.name,
            "images": len(images),
            "test_error": error,
            "stability": [
                {**s.summary(), "law_error": _LAW * math.sqrt(s.relative.value)} for s in results
            ],
            "layers": [{"name": one.name, "kind": one.kind, **one.stability.summary()} for one in found],
        }

    def _check(self) -> None:
        require_integer("images", self.images, 2)
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
            require_table_path("output", self.output)

    def _usual_batch_norm(self, model: nn.Module) -> str:
        """A net that was never trained has running statistics of 0 and 1, which no layer's input has."""
        from torch import nn

        norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
        untrained = bool(norms) and all(
            norm.num_batches_tracked is not None and int(norm.num_batches_tracked) == 0 for norm in norms
        )
        if untrained and self.weights is None and ":" not in self.model:
            return "clean"
        if untrained:
            warnings.warn("batch norm has seen no batch: --batch-norm clean takes the images' statistics", stacklevel=2)
        return "running"

    def _images(self) -> LabelledImages:
        from empirical.data.named_sets import DATASETS, load_data
        from empirical.data.user_images import LabelledImages, read_images

        if self.data in DATASETS or self.data == "digits" or self.data.startswith("images:"):
            size = image_side(self.data, self.image_size)
            loaded = load_data(self.data, self.data_folder, image_size=size)
            return LabelledImages(loaded.name, loaded.test_images.float() / 255, loaded.test_labels, loaded.classes)
        if self.image_size is not None:
            raise InputError("image_size", self.image_size, "is read for named data sets only")
        return read_images(self.data)

    def _model(self, data: LabelledImages) -> nn.Module:
        import torch
        from torch import nn

        from empirical.nets.architectures import ARCHITECTURES, build, seeded
        from empirical.nets.weights import load_weights, normalisation
        from empirical.training.images import Normalised

        channels, size = data.images.shape[1], data.images.shape[-1]
        if self.model in ARCHITECTURES:
            if not data.classes:
                raise InputError("data", data.name, f"must have classes: {self.model} needs to know how many")
            model = build(self.model, channels, size, len(data.classes), self.seed)
            model.to(memory_format=torch.channels_last)  # half the time on a CPU
        elif ":" not in self.model:
            known = ", ".join(ARCHITECTURES)
            raise InputError("model", self.model, f"must be package.module:factory or one of {known}")
        else:
            factory = load_function("model", self.model)
            told = {"channels": channels, "size": size, "classes": len(data.classes)}
            if not data.classes:
                del told["classes"]
            try:
                with seeded(self.seed):
                    model = factory(**asked_for(factory, told))
            except Exception as error:
                raise failing("model", self.model, "its factory fails", error) from error
            if not isinstance(model, nn.Module):
                raise InputError("model", self.model, f"must make a torch module, not {type(model).__name__}")
        within = None if self.weights is None else normalisation(model, self.weights)
        if within is not None:
            if self.mean:
                raise InputError("mean", self.mean, "is not read: the weights hold that of the training set")
            model = Normalised(model, *within)
        if self.weights is not None:
            load_weights(model, self.weights)
        if not self.mean:
            return model
        if len(self.mean) != channels:
            raise InputError("mean", self.mean, f"must have {channels} numbers, one a channel of {data.name}")
        return Normalised(model, torch.tensor(self.mean), torch.tensor(self.std))

    def _outputs(self, model: nn.Module, images: Any) -> int | None:
        """How many outputs the net has; None where they are of no kind that can be measured, as it is told then."""
        from empirical.nets.evaluation import evaluation

        try:
            with evaluation(model):
                found = model(images[:2])
        except Exception as error:
            what = f"cannot take images of shape {tuple(images[:2].shape)}"
            raise failing("model", self.model, what, error) from error
        return int(found.shape[1]) if getattr(found, "ndim", 0) == 2 else None

    def _check_labels(self, data: LabelledImages, outputs: int | None) -> None:
        """Labels must be places among the outputs."""
        assert data.labels is not None
        for value in (int(data.labels.min()), int(data.labels.max())) if outputs is not None else ():
            if not 0 <= value < cast("int", outputs):
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


def _write_layers(found: list[LayerStability], path: Path, model: str, data: str) -> None:
    """One row a layer, in the order of the forward pass, under a line that says what it is."""
    import pandas as pd

    rows = [
        {"place": place, "layer": one.name, "kind": one.kind, **one.stability.row()}
        for place, one in enumerate(found, 1)
    ]
    title = f"# layers of {model} on {data}: relstab measure --layers\n"
    text = pd.DataFrame(rows).to_csv(index=False, float_format="%.6g")
    write_whole(path, lambda aside: aside.write_text(title + text))
