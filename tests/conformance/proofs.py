"""Which test proves what, as the docstrings of the tests say it."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
TESTS = HERE.parent

_LABEL = re.compile(r"App (\d+(?:, \d+)*)(?::\s|\.\s+|\.?$)")


@dataclass(frozen=True, order=True)
class Proof:
    """One test: its file, from ``tests/`` on, and its name within."""

    file: str
    name: str


class BadLabel(ValueError):
    """A docstring begins like a label and is none."""


def labels_of(docstring: str) -> list[int]:
    """Return the items of the application side that a docstring names: ``App 8, 12: why.``

    ``App 16. 245: why.`` names a number of the server's side as well.
    """
    if not re.match(r"App ?\d", docstring):
        return []
    found = _LABEL.match(docstring)
    if found is None:
        raise BadLabel(docstring)
    return [int(number) for number in found[1].split(", ")]


def beyond_label(docstring: str) -> str:
    """Return what a docstring says after its label, if it has one that ends with a full stop."""
    found = _LABEL.match(docstring)
    if found is None:
        return docstring
    return "" if ":" in found[0] else docstring[found.end() :]


def collect(numbers_of: Callable[[str], Iterable[int]]) -> Mapping[int, list[Proof]]:
    """Return the tests of each number that ``numbers_of`` finds in a docstring.

    Those over a real socket come first.
    """
    found: dict[int, list[Proof]] = defaultdict(list)
    for proof, docstring in _tests():
        for number in numbers_of(docstring):
            found[number].append(proof)
    return found


def by_file(tests: Iterable[Proof]) -> list[str]:
    """Return one text for each file: its name, and those of its tests."""
    names: dict[str, list[str]] = defaultdict(list)
    for test in tests:
        names[test.file].append(test.name)
    return [f"`{file}`: {'; '.join(found)}" for file, found in names.items()]


@cache
def _tests() -> list[tuple[Proof, str]]:
    found = []
    ours = {path for path in TESTS.rglob("*.py") if "node_modules" not in path.parts}
    elsewhere = sorted(ours - set(HERE.glob("*.py")))
    for path in [*sorted(HERE.glob("*.py")), *elsewhere]:
        file = path.relative_to(TESTS).as_posix()
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found += [(Proof(file, name), docstring) for name, docstring in _docstrings(tree)]
    return found


def _docstrings(node: ast.AST, prefix: str = "") -> Iterator[tuple[str, str]]:
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.ClassDef(name=name):
                yield prefix + name, ast.get_docstring(child) or ""
                yield from _docstrings(child, f"{prefix}{name}: ")
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                if name.startswith("test_"):
                    words = name.removeprefix("test_").replace("_", " ")
                    yield prefix + words, ast.get_docstring(child) or ""
