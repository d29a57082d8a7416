"""What a report says: everything computed once from one parsed table."""

from __future__ import annotations

from dataclasses import dataclass

from compare.contrasts.comparison import Contrast, contrast_fits
from compare.contrasts.correlations import Correlations, correlations
from compare.contrasts.error_falls import ErrorFall, error_falls
from compare.contrasts.scales import Scales, scales_of
from compare.contrasts.wording import write_verdict
from compare.curves.nearest_theory import require_stage
from compare.curves.series import Curves
from compare.fits.error_law import ErrorLaw, fit_error_law
from compare.fits.law_choice import LEAST_SIZES, LawChoices, choose_all
from compare.fits.law_fits import LawFitter
from compare.fits.power_law import Fits, fit_all
from theory.common.errors import InputError

__all__ = ["Findings", "find"]


@dataclass(frozen=True, slots=True)
class Findings:
    """Fits of all series; the contrast, or why there is none; laws and scales of the series of three P or more (`few`
    others are left out); what goes with the test error, or why that cannot be said; the error beside R_f on tasks
    made by rules. `sentences`: the answer first."""

    curves: Curves
    fits: Fits
    contrast: Contrast | None
    laws: LawChoices
    few: int
    scales: Scales | None
    correlations: Correlations | None
    no_correlation: str
    error_law: ErrorLaw | None
    no_error_law: str
    falls: tuple[ErrorFall, ...]
    sentences: tuple[str, ...]


def find(curves: Curves, stage: str | None = None) -> Findings:
    """The findings of a parsed table. Rows of source "theory" are the theory, all others are measured.

    Raises
    ------
    InputError
        If `stage` is no stage of the theory.
    """
    theory, measured = curves.theory, curves.measured
    require_stage(theory, stage)
    fits = fit_all(curves)
    reason, contrasted = _reason(theory, measured, fits), None
    if not reason:
        predicted, ours = (_part(fits, side) for side in (theory, measured))
        contrasted = contrast_fits(theory, measured, predicted, ours, stage)
    fitter = LawFitter()
    judged = curves if contrasted is None else measured
    whole = judged.pick(lambda key: judged.parts[key]["train_size"].nunique() >= LEAST_SIZES)
    laws = choose_all(whole, None if contrasted is None else theory, stage, fitter)
    scales = None if contrasted is None or not whole.parts else scales_of(theory, whole, stage, fitter)
    related, error_law = None, None
    no_correlation = no_error_law = ""
    try:
        related = correlations(measured)
    except InputError as error:
        no_correlation = f"No correlation with the test error: {error}."
    try:
        error_law = fit_error_law(measured)
    except InputError as error:
        no_error_law = f"The law of the test error against R_f cannot be fitted: {error}."
    sentences = write_verdict(contrasted, laws, scales, related).sentences
    if contrasted is None:
        told = len(laws) or (related is not None and related.rows)
        sentences = (reason, *(sentences if told else ()))
    few = len(judged.parts) - len(whole.parts)
    return Findings(
        curves, fits, contrasted, laws, few, scales, related, no_correlation, error_law, no_error_law,
        error_falls(measured), sentences,
    )  # fmt: skip


def _part(fits: Fits, side: Curves) -> Fits:
    """What concerns the series of one side."""
    skipped = tuple((key, why) for key, why in fits.skipped if key in side.parts)
    return Fits(tuple(fit for fit in fits if fit.key in side.parts), skipped)


def _reason(theory: Curves, measured: Curves, fits: Fits) -> str:
    """Why there is no contrast; nothing if there is one."""
    if not theory.parts:
        return "These tables hold no series of the theory: there is nothing to compare with."
    if not measured.parts:
        return "These tables hold the theory alone: there is nothing measured to compare it with."
    if not any(fit.key in theory.parts for fit in fits):
        return "No series of the theory can be fitted: there is nothing to compare with."
    return ""
