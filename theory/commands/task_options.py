"""The task that options name, for the commands of the simple model."""

from __future__ import annotations

from theory.common.errors import InputError, require_integer
from theory.model.tasks import Cylinder, Stripe

__all__ = ["chosen_task"]


def chosen_task(dim: int, informative_dim: int, interfaces: tuple[float, float] | None) -> Stripe | Cylinder:
    """The stripe with one informative direction, at these interfaces or the usual ones; the cylinder with more."""
    if require_integer("informative_dim", informative_dim, 1) == 1:
        return Stripe(dim) if interfaces is None else Stripe(dim, interfaces)
    if interfaces is not None:
        raise InputError("interfaces", interfaces, "are those of a stripe: informative_dim must be 1")
    return Cylinder(dim, informative_dim)
