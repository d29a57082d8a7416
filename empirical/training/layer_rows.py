"""Rows of the curve table for a net of the tasks solved by construction: its output and each of its layers."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from empirical.stability.layers import measure_layers
from empirical.stability.measure import Stability, measure_probes
from empirical.stability.probes import Probes

__all__ = ["Measured"]

_ENDS = ("", "_low", "_high")


def _synonym_columns(stability: Stability | None) -> dict[str, float]:
    """The columns of S; none where there are no synonyms."""
    if stability is None:
        return {}
    numbers = (stability.diffeo.value, stability.diffeo.low, stability.diffeo.high)
    return {f"synonym_stability{end}": value for end, value in zip(_ENDS, numbers, strict=True)}


@dataclass(frozen=True, slots=True)
class Measured:
    """What all stages of a run are measured on: probes of the moves, of the synonyms, or of both.

    Without moves (s0 = 0) D = R = 0, and G is that of noise as large as an exchange of synonyms.
    """

    names: dict[str, Any]
    moves: Probes | None
    synonyms: Probes | None
    average: Any
    resamples: int
    rng: np.random.Generator

    def rows(self, net: nn.Module, layers: list[str], stage: str) -> list[dict[str, Any]]:
        """A row for each layer, and then one for the output."""
        found: list[dict[str, Stability]] = [{} for _ in range(len(layers) + 1)]
        for kind, probes in (("moves", self.moves), ("synonyms", self.synonyms)):
            if probes is None:
                continue
            # The same resampled data at every stage.
            found[-1][kind] = measure_probes(
                net, probes, average=self.average, rng=copy.deepcopy(self.rng), batch_size=500, resamples=self.resamples
            )
            inner = measure_layers(
                net, probes, layers=layers, rng=copy.deepcopy(self.rng), batch_size=500, resamples=self.resamples
            )
            for own, layer in zip(found[:-1], inner, strict=True):
                own[kind] = layer.stability
        return [
            {**self.names, "stage": stage, "layer": layer, **self._columns(own)}
            for layer, own in zip([*layers, ""], found, strict=True)
        ]

    @staticmethod
    def _columns(own: dict[str, Stability]) -> dict[str, Any]:
        synonyms = own.get("synonyms")
        if "moves" in own:
            return own["moves"].row() | _synonym_columns(synonyms)
        assert synonyms is not None
        still = {f"{name}_stability{end}": 0.0 for name in ("diffeo", "relative") for end in _ENDS}
        return synonyms.row() | still | _synonym_columns(synonyms)
