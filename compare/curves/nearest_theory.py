"""The series of the theory to lay beside a measured one."""

from __future__ import annotations

from collections.abc import Iterable

from compare.curves.series import Curves, SeriesKey, stage_order
from theory.common.errors import InputError

__all__ = ["DEFAULT_STAGE", "INITIAL", "nearest_theory", "require_stage", "usable_theory"]

#: The theory's stage beside which nets trained to the end are laid, where no stage is shared.
DEFAULT_STAGE = "q=0.3"
#: Why a series before training is left out.
INITIAL = "at initialisation R_f does not depend on P"


def require_stage(theory: Curves, stage: str | None) -> None:
    """InputError if a stage is asked for that no row of the theory has."""
    if stage is None:
        return
    if not theory.parts:
        raise InputError("stage", stage, "needs rows of the theory; there are none")
    stages = sorted({key.stage for key in theory.parts}, key=stage_order)
    if stage not in stages:
        raise InputError("stage", stage, "must be one of the theory's stages: " + ", ".join(stages))


def usable_theory(theory: Curves) -> Curves:
    """The theory's series that make a curve: those of two P or more with a positive R_f; InputError without any."""

    def usable(key: SeriesKey) -> bool:
        rows = theory.parts[key]
        return len(set(rows.loc[rows["relative_stability"] > 0, "train_size"])) > 1

    found = theory.pick(usable)
    if not found.parts:
        raise InputError("theory", f"{len(theory.parts)} series", "must hold one with two P or more and R_f above 0")
    return found


def nearest_theory(key: SeriesKey, theory: Iterable[SeriesKey], stage: str | None = None) -> SeriesKey:
    """Of the measured series' own stage if there is one, else `stage` (q=0.3 if None), else the last one; then of its
    task, its variant, the usual variant, its architecture."""
    wanted = stage or DEFAULT_STAGE

    def distance(theirs: SeriesKey) -> tuple[object, ...]:
        order, unfit, name = stage_order(theirs.stage)
        return (
            theirs.stage != key.stage,
            theirs.stage != wanted,
            theirs.stage == "initial",
            -order,  # the last stage first: trained, then the smallest q
            -unfit,
            name,
            theirs.task != key.task,
            theirs.variant != key.variant,
            theirs.variant != "",
            theirs.architecture != key.architecture,
        )

    return min(theory, key=distance)  # the first among equals
