"""Stability layer by layer: D_k, G_k and R_k of what each named module puts out (arXiv 2210.01506)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from empirical.nets.evaluation import BATCH_NORMS, BatchNorm, evaluation, is_sealed, original, with_statistics
from empirical.stability.equivariance import is_spatial, moved_output
from empirical.stability.layer_outputs import Layer, eager, find_layers, first_tensor, hooked, rows
from empirical.stability.measure import Stability
from empirical.stability.probes import Probes
from theory.common.errors import InputError, require_choice, require_integer, require_real
from theory.common.estimate import Estimate

__all__ = ["LayerStability", "measure_layers"]


@dataclass(frozen=True, slots=True)
class LayerStability:
    """One module's place among those measured, its name, and its stability.

    `equivariance` is how far it is from following the deformation (0: it does), over pairs, and over noise; None where
    it was not asked for, or the output is not spatial.
    """

    name: str
    kind: str
    stability: Stability
    equivariance: Estimate | None = None
    equivariance_over_noise: Estimate | None = None


def measure_layers(
    model: nn.Module,
    probes: Probes,
    *,
    layers: Sequence[str] | None = None,
    batch_norm: BatchNorm = "running",
    rng: int | np.random.Generator = 0,
    batch_size: int = 64,
    memory: int = 2**30,
    resamples: int = 1000,
    confidence: float = 0.95,
    equivariance: bool = False,
) -> list[LayerStability]:
    r"""D_k, G_k, R_k of the flattened outputs of modules, in the order in which the forward pass reaches them.

    .. math::

        D_k = \frac{\langle \lVert f_k(\tau x) - f_k(x) \rVert^2 \rangle_{x, \tau}}
                   {\langle \lVert f_k(x) - f_k(z) \rVert^2 \rangle_{x, z}}, \qquad
        R_k = \frac{D_k}{G_k}, \qquad
        E_k = \frac{\langle \lVert f_k(\tau x) - \tau_k f_k(x) \rVert^2 \rangle_{x, \tau}}
                   {\langle \lVert f_k(x) - f_k(z) \rVert^2 \rangle_{x, z}}

    f_k(x) is the output of module k; the means are those over images and over distinct pairs, and G_k is D_k with noise
    in place of the deformation. Intervals are those of a bootstrap over images. With `equivariance` also E_k, and over
    the noise, E_k / G_k, where tau_k is the field at the layer's resolution. A layer whose D_k is large may move along
    with its input: then E_k is small. For outputs of shape (images, channels, height, width) alone.

    The outputs of as many layers as fit into `memory` bytes are kept at a time, so that the model is run as often as
    that takes; of all others nothing is stored.

    Parameters
    ----------
    model : in eval mode meanwhile
    probes : images with their deformations and noise, see `draw_probes`
    layers : names as `model.named_modules()` gives them; by default every module that calls no other and is reached
        once. Of outputs that are tuples or dictionaries the first tensor counts, and its axis of images may be any.
        What is left out is told in a warning
    batch_norm : see `measure_stability`; ``own`` takes all images in one batch
    rng : of the bootstrap
    equivariance : whether to measure it; the probes must hold their fields' coefficients, as those of `draw_probes` do

    Raises
    ------
    InputError
        If a layer is not the model's, is never or repeatedly reached, or puts out no tensor of one row an image; if the
        model is TorchScript or an exported program; and if an output is not finite.
    """
    require_integer("batch_size", batch_size, 1)
    require_integer("resamples", resamples, 0)
    require_real("confidence", confidence, above=0, maximum=1 - 1e-9)
    coefficients = probes.coefficients if equivariance else None
    if equivariance and coefficients is None:
        raise InputError("probes", "without coefficients", "must hold those of their fields for equivariance")
    if len(probes.clean) < 2:
        raise InputError("images", len(probes.clean), "at least 2 are needed")
    if not isinstance(rng, np.random.Generator):
        rng = np.random.default_rng(require_integer("rng", rng, 0))
    require_choice("batch_norm", batch_norm, BATCH_NORMS)
    model = original(model)
    if any(is_sealed(module) for module in model.modules()):
        allowed = "has layers that cannot be reached: TorchScript, an exported program or ONNX"
        raise InputError("layers", type(model).__name__, allowed)
    model = with_statistics(model, probes.clean, batch_norm)
    if batch_norm == "own":
        batch_size = len(probes.clean)
    modules = dict(model.named_modules())
    with evaluation(model):
        found = find_layers(model, probes.clean[:3], layers)
        counts = len(probes.clean)
        weights = _bootstrap_weights(counts, resamples, rng)
        results = []
        for group in _groups(found, memory // (4 * (3 + equivariance) * counts)):
            outputs = _collect(model, modules, group, probes, batch_size, coefficients)
            for layer in group:
                clean, deformed, noisy, moved = outputs.pop(layer.name)
                values = _summed(layer.name, clean, deformed, noisy)
                stability = Stability.of(probes, _estimates(*values, weights, confidence), "mean")
                follows: tuple[Estimate | None, Estimate | None] = (None, None)
                if moved is not None:
                    left = ((deformed - moved).double() ** 2).sum(1).numpy()
                    over_pairs, _, over_noise = _estimates(left, *values[1:], weights, confidence)
                    follows = (over_pairs, over_noise)
                kind = type(modules[layer.name]).__name__
                results.append(LayerStability(layer.name, kind, stability, *follows))
    return results


def _groups(layers: Sequence[Layer], most: int) -> Iterator[list[Layer]]:
    """In order, so many together that their sizes sum to at most `most`, or one alone."""
    group: list[Layer] = []
    held = 0
    for layer in layers:
        if group and held + layer.size > most:
            yield group
            group, held = [], 0
        group.append(layer)
        held += layer.size
    if group:
        yield group


def _collect(
    model: nn.Module, modules: dict[str, nn.Module], layers: Sequence[Layer], probes: Probes, batch_size: int,
    coefficients: Tensor | None,
) -> dict[str, tuple[Tensor, Tensor, Tensor, Tensor | None]]:  # fmt: skip
    """Outputs at clean, deformed and noisy images, flattened, in single precision on the CPU.

    The last are the clean ones moved by the fields of `coefficients`, where these are given and the output is spatial.
    """
    kept: dict[str, list[list[Tensor]]] = {layer.name: [[], [], [], []] for layer in layers}
    axes = {layer.name: layer.axis for layer in layers}
    for version, images in enumerate((probes.clean, probes.deformed, probes.noisy)):
        fields = images.split(batch_size) if coefficients is None else coefficients.split(batch_size)
        for batch, field in zip(images.split(batch_size), fields, strict=True):

            def keep(name: str, output: Any, version: int = version, field: Tensor = field) -> None:
                kept[name][version].append(rows(output, axes[name]).to("cpu", torch.float32, copy=True))
                tensor = first_tensor(output)
                if coefficients is not None and version == 0 and tensor is not None and is_spatial(tensor):
                    kept[name][3].append(moved_output(tensor, field).to("cpu", torch.float32))

            with eager(model), hooked({name: modules[name] for name in axes}, keep):
                model(batch.clone())
    return {
        name: (torch.cat(a), torch.cat(b), torch.cat(c), torch.cat(moved) if moved else None)
        for name, (a, b, c, moved) in kept.items()
    }


def _summed(name: str, clean: Tensor, deformed: Tensor, noisy: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(||f(tau x) - f(x)||^2, ||f(x + eta) - f(x)||^2, ||f(x) - f(z)||^2 / 2 of all pairs), float64."""
    for values in (clean, deformed, noisy):
        if not bool(torch.isfinite(values).all()):
            raise InputError("model output", f"of {name} not finite", "must be finite")
    moved = [((other - clean).double() ** 2).sum(1).numpy() for other in (deformed, noisy)]
    centred = (clean - clean.mean(0)).double()
    products = (centred @ centred.T).numpy()
    squares = np.diag(products)
    return moved[0], moved[1], np.maximum((squares[:, None] + squares[None, :]) / 2 - products, 0)


def _bootstrap_weights(count: int, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """How often each image is drawn, shape (1 + resamples, count); the first row is the sample itself."""
    drawn = rng.multinomial(count, np.full(count, 1 / count), size=resamples)
    return np.concatenate([np.ones((1, count)), drawn.reshape(-1, count)]).astype(float)


def _estimates(
    deformed: np.ndarray, noisy: np.ndarray, pairs: np.ndarray, weights: np.ndarray, confidence: float
) -> tuple[Estimate, Estimate, Estimate]:
    """D, G and R, with percentile intervals; pairs are averaged over distinct draws, as `measure_outputs` does."""
    count = len(deformed)
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = 2 * np.einsum("wi,ij,wj->w", weights, pairs, weights, optimize=True) / (count * (count - 1))
        values = np.stack([weights @ deformed / count / spread, weights @ noisy / count / spread])
        values = np.concatenate([values, values[:1] / values[1:]])
    tail = (1 - confidence) / 2
    return tuple(  # type: ignore[return-value]
        Estimate(float(row[0]), *_interval(row[1:], tail), count, confidence) for row in values
    )


def _interval(drawn: np.ndarray, tail: float) -> tuple[float, float]:
    """NaN without draws, or where the statistic is not defined: of an output that is the same for all images, say."""
    if not len(drawn) or not np.all(np.isfinite(drawn)):
        return math.nan, math.nan
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return float(low), float(high)
