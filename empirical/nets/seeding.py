"""Torch's default generators, seeded for a while."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["seeded"]

_lock = threading.RLock()


@contextmanager
def seeded(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Torch's default generators, the CPU's and that of `device`, seeded inside, and put back as they were after.

    Modules initialise themselves from the default generator; this makes that explicit without a trace. Threads have one
    generator, so that another that comes here waits until this one is done.
    """
    others = [device] if device is not None and device.type == "cuda" else []
    with _lock, torch.random.fork_rng(devices=others):
        torch.default_generator.manual_seed(seed)
        for other in others:
            with torch.cuda.device(other):
                torch.cuda.manual_seed(seed)
        yield
