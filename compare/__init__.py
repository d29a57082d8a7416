"""Fits and contrasts of curves R_f(P), their relation to the test error, and the report about them.

    from compare import choose_law, contrast, correlations, effective_scales, fit_power_law, write_report

matplotlib, plotly, jinja2 and lmfit are imported when a function first needs them, torch never.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

try:
    from theory.common.names import keep_old_paths, look_up
except ImportError:  # a user's own theory.py, first on the path
    found = getattr(find_spec("theory"), "origin", "nothing")
    raise ImportError(f"{found} hides relstab's package theory: rename it, or run elsewhere") from None

if TYPE_CHECKING:
    from compare.contrasts.along_sizes import AlongSizes, along_sizes
    from compare.contrasts.comparison import Contrast, contrast
    from compare.contrasts.correlation import Correlation
    from compare.contrasts.correlations import Correlations, correlations
    from compare.contrasts.error_curves import ErrorCurves, error_curves
    from compare.contrasts.falls import Fall, stability_falls
    from compare.contrasts.hierarchies import Hierarchies, describe_hierarchies
    from compare.contrasts.intervention import Intervention, intervention
    from compare.contrasts.layer_profiles import LayerProfile, layer_profiles
    from compare.contrasts.ratio import Ratio, measured_over_theory
    from compare.contrasts.relations import Comparison, Relation
    from compare.contrasts.scales import Parting, Scale, Scales, effective_scales
    from compare.contrasts.swap_power import SwapPower, swap_power
    from compare.contrasts.swap_test import SwapTest, swap_tests
    from compare.contrasts.wording import Verdict, write_verdict
    from compare.curves.reference import load_reference, load_reference_displacements
    from compare.curves.series import SeriesKey, series
    from compare.fits.error_law import ErrorLaw, clustered_error_law, fit_error_law
    from compare.fits.fitted_law import LawFit, LawParameter, Residual
    from compare.fits.goodness import Goodness
    from compare.fits.hierarchy_law import HierarchyLaw, fit_hierarchy_law
    from compare.fits.law_choice import LawChoice, LawChoices, choose_law, choose_laws
    from compare.fits.law_fits import fit_law
    from compare.fits.laws import Law, TheoryCurve
    from compare.fits.net_law import fit_net_law
    from compare.fits.power_law import Fits, PowerLawFit, fit_all, fit_power_law
    from compare.fits.sample_complexity import Crossing, crossings
    from compare.report.page import DeformedGrid, write_report
    from compare.report.panels import collapse_panel

_HOMES = {
    "contrasts.layer_profiles": ("LayerProfile", "layer_profiles"),
    "contrasts.hierarchies": ("Hierarchies", "describe_hierarchies"),
    "contrasts.intervention": ("Intervention", "intervention"),
    "contrasts.error_curves": ("ErrorCurves", "error_curves"),
    "fits.hierarchy_law": ("HierarchyLaw", "fit_hierarchy_law"),
    "fits.sample_complexity": ("Crossing", "crossings"),
    "contrasts.along_sizes": ("AlongSizes", "along_sizes"),
    "contrasts.falls": ("Fall", "stability_falls"),
    "contrasts.swap_power": ("SwapPower", "swap_power"),
    "contrasts.swap_test": ("SwapTest", "swap_tests"),
    "fits.net_law": ("fit_net_law",),
    "contrasts.comparison": ("Contrast", "contrast"),
    "contrasts.correlation": ("Correlation",),
    "contrasts.correlations": ("Correlations", "correlations"),
    "contrasts.ratio": ("Ratio", "measured_over_theory"),
    "contrasts.relations": ("Comparison", "Relation"),
    "contrasts.scales": ("Parting", "Scale", "Scales", "effective_scales"),
    "contrasts.wording": ("Verdict", "write_verdict"),
    "curves.reference": ("load_reference", "load_reference_displacements"),
    "curves.series": ("SeriesKey", "series"),
    "fits.error_law": ("ErrorLaw", "clustered_error_law", "fit_error_law"),
    "fits.fitted_law": ("LawFit", "LawParameter", "Residual"),
    "fits.goodness": ("Goodness",),
    "fits.law_choice": ("LawChoice", "LawChoices", "choose_law", "choose_laws"),
    "fits.law_fits": ("fit_law",),
    "fits.laws": ("Law", "TheoryCurve"),
    "fits.power_law": ("Fits", "PowerLawFit", "fit_all", "fit_power_law"),
    "report.page": ("DeformedGrid", "write_report"),
    "report.panels": ("collapse_panel",),
}
#: Where public names were before, by module: these paths go on working.
_MOVED = {
    "collapse": "report.panels",
    "contrast": "contrasts.comparison",
    "contrasts.collapse": "report.panels",
    "contrasts.verdict": "contrasts.wording",
    "correlations": "contrasts.correlations",
    "error_law": "fits.error_law",
    "fitted_law": "fits.fitted_law",
    "fits.table_fits": "fits",
    "goodness": "fits.goodness",
    "law_choice": "fits.law_choice",
    "law_fits": "fits.law_fits",
    "laws": "fits.laws",
    "powerlaw": "fits.power_law",
    "ratio": "contrasts.ratio",
    "reference": "curves.reference",
    "scales": "contrasts.scales",
    "series": "curves.series",
    "verdict": "contrasts.wording",
}

__all__ = [
    "AlongSizes", "Comparison", "Contrast", "Correlation", "Correlations", "Crossing", "DeformedGrid", "ErrorCurves",
    "ErrorLaw", "Fall", "Fits", "Goodness", "Hierarchies", "HierarchyLaw", "Intervention", "Law", "LawChoice",
    "LawChoices", "LawFit", "LawParameter", "LayerProfile", "Parting", "PowerLawFit", "Ratio", "Relation", "Residual",
    "Scale", "Scales", "SeriesKey", "SwapPower", "SwapTest", "TheoryCurve", "Verdict", "along_sizes", "choose_law",
    "choose_laws", "clustered_error_law", "collapse_panel", "contrast", "correlations", "crossings",
    "describe_hierarchies", "effective_scales", "error_curves", "fit_all", "fit_error_law", "fit_hierarchy_law",
    "fit_law", "fit_net_law", "fit_power_law", "intervention", "layer_profiles", "load_reference",
    "load_reference_displacements", "measured_over_theory", "series", "stability_falls", "swap_power", "swap_tests",
    "write_report", "write_verdict",
]  # fmt: skip

keep_old_paths("compare", _MOVED)


def __getattr__(name: str) -> Any:
    return look_up("compare", _HOMES, name)
