"""Fits and contrasts of curves R_f(P), and the report about them.

    from compare import contrast, fit_power_law, write_report

matplotlib, plotly, jinja2 and lmfit are imported when a function first needs them, torch never.
"""

from __future__ import annotations

from compare.contrast import Comparison, Contrast, contrast
from compare.fits import Fits, fit_all, fit_error_law, fit_power_law
from compare.powerlaw import PowerLawFit
from compare.ratio import Ratio, measured_over_theory
from compare.reference import load_reference
from compare.report import DeformedGrid, write_report
from compare.series import series

__all__ = [
    "Comparison",
    "Contrast",
    "DeformedGrid",
    "Fits",
    "PowerLawFit",
    "Ratio",
    "contrast",
    "fit_all",
    "fit_error_law",
    "fit_power_law",
    "load_reference",
    "measured_over_theory",
    "series",
    "write_report",
]
