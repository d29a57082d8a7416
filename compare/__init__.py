"""Fits and contrasts of curves R_f(P), their relation to the test error, and the report about them.

    from compare import choose_law, contrast, correlations, effective_scales, fit_power_law, write_report

matplotlib, plotly, jinja2 and lmfit are imported when a function first needs them, torch never.
"""

from __future__ import annotations

from compare.collapse import collapse_panel
from compare.contrast import Comparison, Contrast, contrast
from compare.correlations import Correlation, Correlations, correlations
from compare.error_law import ErrorLaw, clustered_error_law
from compare.fits import Fits, fit_all, fit_error_law, fit_power_law
from compare.fitted_law import LawFit, LawParameter, Residual
from compare.goodness import Goodness
from compare.law_choice import LawChoice, LawChoices, choose_law, choose_laws
from compare.law_fits import fit_law
from compare.laws import Law, TheoryCurve
from compare.powerlaw import PowerLawFit
from compare.ratio import Ratio, measured_over_theory
from compare.reference import load_reference
from compare.report import DeformedGrid, write_report
from compare.scales import Parting, Scale, Scales, effective_scales
from compare.series import series
from compare.swap_test import SwapTest
from compare.verdict import Verdict, write_verdict

__all__ = [
    "Comparison",
    "Contrast",
    "Correlation",
    "Correlations",
    "DeformedGrid",
    "ErrorLaw",
    "Fits",
    "Goodness",
    "Law",
    "LawChoice",
    "LawChoices",
    "LawFit",
    "LawParameter",
    "Parting",
    "PowerLawFit",
    "Ratio",
    "Residual",
    "Scale",
    "Scales",
    "SwapTest",
    "TheoryCurve",
    "Verdict",
    "choose_law",
    "choose_laws",
    "clustered_error_law",
    "collapse_panel",
    "contrast",
    "correlations",
    "effective_scales",
    "fit_all",
    "fit_error_law",
    "fit_law",
    "fit_power_law",
    "load_reference",
    "measured_over_theory",
    "series",
    "write_report",
    "write_verdict",
]
