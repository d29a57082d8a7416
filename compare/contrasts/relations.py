"""One measured curve beside the theory's: how far their exponents are apart, and what that says of how R_f falls."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import Any

from compare.contrasts.ratio import Ratio
from compare.curves.numbers import json_ready
from compare.curves.series import SeriesKey
from compare.fits.power_law import PowerLawFit
from theory.common.estimate import Estimate

__all__ = ["Comparison", "Relation"]


class Relation(Enum):
    """How a measured R_f falls with P beside the theory's, in words; see `Comparison.relation`.

    Example
    -------
    >>> from compare import Relation
    >>> [relation.value for relation in Relation]
    ['same', 'slower', 'steeper', 'no significant decrease', 'rises', 'too few points to tell']
    """

    SAME = "same"
    SLOWER = "slower"
    STEEPER = "steeper"
    NO_DECREASE = "no significant decrease"
    RISES = "rises"
    UNCERTAIN = "too few points to tell"


@dataclass(frozen=True, slots=True)
class Comparison:
    r"""One measured series: its fit, the theory's, and how far they are apart over the same P; see `contrast`.

    .. math:: R_f \sim P^{b}, \qquad \Delta b = b_{\text{measured}} - b_{\text{theory}}

    The theory is bent, so that exponents over different P differ although the curves do not. `theory` and `compared`
    are therefore fits over the P that both have, if these are three or more and half of the measured ones within the
    range of both, else over all P within it.

    Attributes
    ----------
    measured : the fit to the whole series, which is `compared` where the theory covers it
    compared, theory : the fits over the same P
    difference : the exponent of `compared` minus the theory's
    difference_method : ``paired seeds`` where both share task, variant, stage, P and three seeds or more, as stripe
        nets do that see the theory's points and neurons: the mean of these seeds' differences with Student's t, its n
        their number. Elsewhere ``independent errors``, which add in quadrature
    ratio : measured over predicted R_f, where task, variant, stage and some P are shared
    """

    measured: PowerLawFit
    compared: PowerLawFit
    theory: PowerLawFit
    difference: Estimate
    difference_method: str
    ratio: Ratio | None

    @property
    def key(self) -> SeriesKey:
        """What the measured series is of."""
        return self.measured.key

    @property
    def relation(self) -> Relation:
        """By intervals over the P compared: that of the exponent says whether R_f falls, that of the difference how.

        R_f rises if the exponent's interval lies above 0 and does not decrease significantly if that holds 0; else it
        falls, at the same rate as the theory's if the interval of the difference holds 0.
        """
        exponent = self.compared.exponent
        if not math.isfinite(exponent.error):
            return Relation.UNCERTAIN
        if exponent.high >= -1e-9:
            return Relation.RISES if exponent.low > 1e-9 else Relation.NO_DECREASE
        if not math.isfinite(self.difference.error):
            return Relation.UNCERTAIN
        if self.difference.low > 1e-9:
            return Relation.SLOWER
        return Relation.STEEPER if self.difference.high < -1e-9 else Relation.SAME

    @property
    def sizes(self) -> str:
        """The range of P compared: ``64…1024``, with the theory's own within it where they share too few P."""
        ours, theirs = (f"{low:.0f}…{high:.0f}" for low, high in (self.compared.x_range, self.theory.x_range))
        return ours if ours == theirs else f"{ours} (theory: {theirs})"

    def summary(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            **json_ready(self, "measured", "difference", "difference_method", "relation", "ratio"),
            "theory": self.theory.label,
            "compared": {
                "P_range": list(self.compared.x_range),
                "measured_exponent": self.compared.exponent.summary(),
                "measured_bent": self.compared.bent,
                "theory_exponent": self.theory.exponent.summary(),
                "theory_bent": self.theory.bent,
            },
        }
