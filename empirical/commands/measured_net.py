"""What `relstab measure` measures: the images as the net wants them, and the net as it is to be run."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from empirical.commands.net_and_images import NetAndImages
from empirical.data.named_sets import DATASETS, load_data
from empirical.data.user_images import LabelledImages, read_images
from empirical.nets.evaluation import evaluation
from empirical.nets.exported_nets import ExportedNet
from empirical.nets.named_nets import LIBRARIES, make_net
from empirical.nets.normalised import Normalised
from empirical.nets.outputs import Logits, logits_of
from empirical.nets.preprocessing import Preprocessing
from empirical.nets.user_code import failing, keyword_arguments
from empirical.nets.weights import load_weights, normalisation, read_weights
from empirical.training.config import image_side
from theory.common.errors import InputError

__all__ = ["MeasuredNet", "is_library", "read_data"]

_TOGETHER = 500  # images framed at a time


def is_library(model: str) -> bool:
    """Whether it is a net of a library's, which comes with a preprocessing of its own."""
    return model.partition(":")[0] in LIBRARIES


def read_data(command: NetAndImages, preprocessing: Preprocessing) -> LabelledImages:
    """The test images of a data set by name, or those of a folder or a file; at most as many as are asked for.

    Grey ones are repeated where a library's net takes colours.
    """
    framing = preprocessing.framing
    channels = len(preprocessing.mean) if is_library(command.model) else 0
    most = None if command.test_images is None else max(command.probe_images, command.test_images)
    name = command.data
    if name not in DATASETS and name != "digits" and not name.startswith("images:"):
        data = read_images(name, framing, most)
    else:
        # As train resizes them; a library's side is often far above the data set's, and only these are needed.
        plain = not is_library(command.model) and framing.crop is None
        side = image_side(name, framing.resize if plain and isinstance(framing.resize, int) else None)
        loaded = load_data(name, command.data_folder, image_size=side)
        pixels, total = loaded.test_images[:most], len(loaded.test_images)
        if framing and not plain:
            pixels = torch.cat([framing(part) for part in pixels.split(_TOGETHER)])
        data = LabelledImages(loaded.name, pixels, loaded.test_labels[:most], loaded.classes, total)
    if data.pixels.shape[1] == 1 < channels:
        warnings.warn(f"{data.name} is grey: the net is given it {channels} times, as its channels", stacklevel=2)
        data = LabelledImages(
            data.name, data.pixels.expand(-1, channels, -1, -1), data.labels, data.classes, data.total
        )
    if command.images is not None and len(data.pixels) < command.images:
        warnings.warn(f"{data.name} has {len(data.pixels)} images of the {command.images} asked for", stacklevel=2)
    return data


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredNet:
    """A net from images in [0, 1] to outputs, shape (batch, outputs).

    Attributes
    ----------
    outputs : how many numbers it puts out an image
    flattened : their shape, where they were no vector
    """

    model: nn.Module
    outputs: int
    flattened: tuple[int, ...] | None

    @classmethod
    def of(
        cls, command: NetAndImages, data: LabelledImages, preprocessing: Preprocessing, device: torch.device,
        dtype: torch.dtype,
    ) -> MeasuredNet:  # fmt: skip
        """Make it, load its weights, put its normalisation before it, and try it on two images."""
        model = _made(command, data, preprocessing).to(device, dtype)
        images = data.pixels[:2].to(device)
        images = (images if images.is_floating_point() else images.float() / 255).to(dtype)
        try:
            with evaluation(model):
                raw = model(images.clone())
        except Exception as error:
            what = f"cannot take images of shape {tuple(images.shape)}"
            raise failing("model", command.model, what, error) from error
        model.to(memory_format=torch.channels_last)  # half the time of convolutions on a CPU
        logits = logits_of(raw, len(images), command.output_key)
        if command.output_key is not None or not isinstance(raw, Tensor) or raw.ndim != 2:
            model = Logits(model, command.output_key)
        shape = tuple(logits.shape[1:])
        return cls(model, int(logits[0].numel()), shape if len(shape) > 1 else None)


def _made(command: NetAndImages, data: LabelledImages, preprocessing: Preprocessing) -> nn.Module:
    weights, key = command.weights, command.weights_key
    channels, size = data.pixels.shape[1], data.pixels.shape[-1]
    state: dict[str, Any] | None = None if weights is None else read_weights(weights, key)
    ours = ":" not in command.model  # a user's function may have a number of its own, which labels cannot overrule
    model = make_net(
        command.model, channels=channels, size=size, classes=data.class_count if ours else len(data.classes) or None,
        arguments=keyword_arguments("model_args", command.model_args), seed=command.seed, weights=state,
    )  # fmt: skip
    if isinstance(model, ExportedNet) and model.numbers is not None and command.dtype not in ("float32", model.numbers):
        raise InputError("dtype", command.dtype, f"must be {model.numbers}, which the file computes with")
    mean, std = preprocessing.mean, preprocessing.std
    if weights is not None:
        within = normalisation(model, weights, key)
        if within is not None:
            if command.mean:
                raise InputError("mean", command.mean, "is not read: the weights hold that of the training set")
            model, mean = Normalised(model, *within), ()
        load_weights(model, weights, strict=not command.not_strict, key=key)
    if not mean:
        return model
    if len(mean) != channels:
        raise InputError("mean", mean, f"must have {channels} numbers, one a channel of {data.name}")
    return Normalised(model, torch.tensor(mean), torch.tensor(std))


