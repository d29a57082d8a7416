"""What names a run: its configuration, as JSON and as a hash."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, fields
from typing import Any, ClassVar, Protocol

__all__ = ["Config", "config_hash", "config_to_dict"]


class Config(Protocol):
    """What every run's configuration is: a frozen dataclass that names its kind, P and a seed."""

    kind: ClassVar[str]
    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def train_size(self) -> int:
        """P."""

    @property
    def seed(self) -> int:
        """Draws all that is random in the run."""

    def __hash__(self) -> int: ...


def config_to_dict(config: Config) -> dict[str, Any]:
    """The configuration as JSON-ready values, its kind included; an infinite one is the string "inf"."""
    named = {item.name for item in fields(config) if item.metadata.get("named", True)}
    given = {name: value for name, value in asdict(config).items() if name in named}
    values = {name: "inf" if value == math.inf else value for name, value in given.items()}
    return {"kind": config.kind, **json.loads(json.dumps(values, allow_nan=False))}


def config_hash(config: Config) -> str:
    """Sixteen hexadecimal digits of the SHA-256 of the configuration's canonical JSON.

    A field that came later is in it only where it differs from its default, so that runs made before keep their names.
    """
    values = config_to_dict(config)
    for item in fields(config):
        if item.metadata.get("later") and getattr(config, item.name) == item.default:
            del values[item.name]
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
