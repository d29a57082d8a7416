"""Maximum-entropy diffeomorphisms of images: fields, the warp, transforms. After arXiv 2105.02468, appendix A."""

from __future__ import annotations

from typing import Any

from theory.common.names import look_up

_HOMES = {
    "fields": (
        "Folding",
        "Interpolation",
        "MaxEntropyDiffeo",
        "deform",
        "displacement_fields",
        "folded",
        "inverse_fields",
        "require_images",
        "sample_coefficients",
        "warp",
    ),
}


def __getattr__(name: str) -> Any:
    return look_up(__name__, _HOMES, name)
