"""Packages and rooms in the order in which they may import, and what the source imports, read without running it.

`python tests/support/rooms.py` prints the tree that stands in CONTRIBUTING.md.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ROOMS", "Import", "circles", "imports", "rank", "tree"]

ROOT = Path(__file__).parents[2]
#: A package imports from those before it, a room from those before it in its package, and never the other way.
ROOMS: Mapping[str, tuple[str, ...]] = {
    "theory": (
        "common", "model", "kernels", "flow", "prediction", "ensemble", "hierarchies", "jobs", "runs", "commands",
    ),
    "empirical": ("diffeo", "data", "nets", "stability", "training", "integrations", "runs", "commands"),
    "compare": ("curves", "fits", "contrasts", "report", "commands"),
    "paper": (),
}  # fmt: skip


@dataclass(frozen=True, order=True, slots=True)
class Import:
    """One module of ours that another one imports, wherever in the file it does."""

    importer: str
    imported: str


def rank(module: str) -> tuple[int, int]:
    """The place of a module's package and of its room; what a package's __init__ gathers stands above its rooms."""
    package, *inside = module.split(".")
    if package == "relstab":
        return len(ROOMS), 0
    rooms = ROOMS[package]
    place = rooms.index(inside[0]) if inside and inside[0] in rooms else len(rooms)
    return list(ROOMS).index(package), place


def imports(root: Path = ROOT) -> set[Import]:
    """All imports of ours by ours: at the top, in functions, and those for types alone.

    A name that a room's __init__ looks up when it is used counts as an import of the module that it comes from.

    Raises
    ------
    LookupError
        Where a module of ours is named that is not there, such as one by the path that it had before.
    """
    modules = dict(_modules(root))
    parsed = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in modules.items()}
    homes = {name: _homes(name, source) for name, source in parsed.items()}
    found = set()
    for importer, source in parsed.items():
        for module, name in _named(source):
            if module.split(".")[0] not in ("relstab", *ROOMS):
                continue
            imported = homes.get(module, {}).get(name, f"{module}.{name}" if f"{module}.{name}" in modules else module)
            if imported not in modules and not any(other.startswith(f"{imported}.") for other in modules):
                raise LookupError(f"{importer} imports {imported}, which is not there")
            if imported != importer:
                found.add(Import(importer, imported))
    return found


def _modules(root: Path) -> Iterator[tuple[str, Path]]:
    """Every module by name: relstab.py and all files of the packages."""
    for top in ("relstab.py", *ROOMS):
        for path in sorted((root / top).rglob("*.py")) if (root / top).is_dir() else [root / top]:
            if path.is_file():
                parts = path.relative_to(root).with_suffix("").parts
                yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def _homes(package: str, source: ast.Module) -> dict[str, str]:
    """From the table `_HOMES` of an __init__: the module that each name comes from."""
    for node in source.body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["_HOMES"]:
            table: dict[str, tuple[str, ...]] = ast.literal_eval(node.value)
            return {name: f"{package}.{module}" for module, names in table.items() for name in names}
    return {}


def _named(source: ast.Module) -> Iterator[tuple[str, str]]:
    """What is imported: (module, name), the name empty for `import module`."""
    for node in ast.walk(source):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield from ((node.module, alias.name) for alias in node.names)


def circles(edges: set[Import]) -> list[list[str]]:
    """Modules from each of which one comes back to itself, together with those on the way; sorted."""
    onward: dict[str, set[str]] = {}
    for edge in edges:
        onward.setdefault(edge.importer, set()).add(edge.imported)
    reached = {module: _reached(module, onward) for module in onward}
    rings = {
        tuple(sorted(other for other in reached[module] if module in reached.get(other, ())))
        for module in onward
        if module in reached[module]
    }
    return [list(ring) for ring in sorted(rings)]


def _reached(start: str, onward: Mapping[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        for module in onward.get(waiting.pop(), set()) - seen:
            seen.add(module)
            waiting.append(module)
    return seen


def tree(root: Path = ROOT) -> str:
    """The packages and their rooms, a line each: the first line of the docstring of each __init__."""
    lines = []
    for package, rooms in ROOMS.items():
        if not (root / package / "__init__.py").is_file():
            continue
        lines.append(f"{package + '/':17}{_first_line(root / package)}")
        there = [room for room in rooms if (root / package / room / "__init__.py").is_file()]
        lines += [f"  {room + '/':15}{_first_line(root / package / room)}" for room in there]
    return "\n".join(lines)


def _first_line(folder: Path) -> str:
    source = ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))
    return (ast.get_docstring(source) or "").splitlines()[0]


if __name__ == "__main__":
    print(tree())
