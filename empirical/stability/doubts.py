"""What makes a measurement right by the letter and wrong in what it means: looked for, and put into a sentence."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

__all__ = ["input_doubts", "label_doubts", "output_doubts"]

_SHOWN = 16  # images that the net is shown twice
_DIGITS = 1e-3  # of the outputs' scale: more than rounding between two calls


def output_doubts(run: Callable[[Tensor], np.ndarray], images: Tensor) -> list[str]:
    """Of outputs that are probabilities, and of a net that does not repeat itself.

    R_f is defined on logits: behind a softmax it is that of another function, larger or smaller.

    Parameters
    ----------
    run : the net, as `empirical.nets.evaluation.still` gives it
    images : of which the first 16 are shown, twice
    """
    found = []
    first, again = run(images[:_SHOWN]), run(images[:_SHOWN])
    scale = float(np.abs(first - first.mean(0)).mean())
    apart = float(np.abs(first - again).mean())
    if apart > _DIGITS * scale:
        found.append(
            f"the outputs differ from call to call, by {apart / max(scale, 1e-300):.1g} of their spread: dropout or "
            "another draw is left on, and counts as instability"
        )
    if first.shape[1] > 1:
        for name, sums in (("softmax", np.sum(first, 1)), ("log-softmax", np.sum(np.exp(np.minimum(first, 1)), 1))):
            signs = (first >= 0).all() if name == "softmax" else (first <= 0).all()
            if signs and np.allclose(sums, 1, atol=1e-3):
                found.append(f"the outputs are those of a {name}: R_f is defined on logits, and differs from theirs")
    return found


def input_doubts(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> list[str]:
    """Of a normalisation that does not make these images, in [0, 1], numbers of order one.

    One given for 0 ... 255 is the usual reason.
    """
    if not len(mean):
        return []
    pixels = images.double().movedim(1, 0).flatten(1)
    centres = [(float(row.mean()) - m) / s for row, m, s in zip(pixels, mean, std, strict=True)]
    widths = [float(row.std()) / s for row, s in zip(pixels, std, strict=True)]
    if max(map(abs, centres)) < 5 and min(widths) > 0.05 and max(widths) < 20:
        return []
    scale = "; images are in [0, 1]: mean and std for 0 to 255 are to be divided by 255" if max(mean) > 1 else ""
    return [
        f"normalised, the images have mean {max(centres, key=abs):.3g} and deviation {min(widths):.3g} where 0 and 1 "
        f"are usual{scale}"
    ]


def label_doubts(outputs: int, classes: int) -> list[str]:
    """Of a net with more outputs than the data have classes; 0 where they are not known."""
    if not classes or outputs <= classes:
        return []
    return [
        f"the net has {outputs} outputs and the data {classes} classes: labels count as the outputs' places, so the "
        "test error means nothing if the net was trained on others, or puts out features"
    ]
