"""The page of ``docs/`` that says what holds on the application side, and which test proves it.

A docstring that begins with ``App 8:`` (or ``App 8, 12:``, or is ``App 8.``) says that its test
proves a part of item 8 of ``application.toml``.

``python -m tests.conformance.application_page`` writes the page anew.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass

from tests.conformance.proofs import HERE, TESTS, Proof, by_file, collect, labels_of

PAGE = TESTS.parent / "docs" / "reference" / "application-side.md"
ITEMS = HERE / "application.toml"

HEAD = """\
# Application side

What the side that dispatches and authorizes owes its users, item by item, and the tests that prove
it. This page is made from the tests; {doc}`conformance` is its twin for the server.

A test's name is given as words: *a row tells of its life* is `test_a_row_tells_of_its_life`, in the
file under `tests/` that stands before it.
"""


@dataclass(frozen=True, kw_only=True)
class Item:
    """One number: its subject, what holds, and what of it has no test yet."""

    no: int
    title: str
    says: str
    later: str = ""


def items() -> list[Item]:
    """Return the items in their order."""
    content = tomllib.loads(ITEMS.read_text(encoding="utf-8"))
    return [Item(**fields) for fields in content["items"]]


def proofs() -> Mapping[int, list[Proof]]:
    """Return the tests of each item."""
    return collect(labels_of)


def render() -> str:
    """Return the page."""
    tests = proofs()
    return "\n".join([HEAD, *(_section(item, tests.get(item.no, [])) for item in items())])


def _section(item: Item, tests: list[Proof]) -> str:
    lines = [f"## {item.no}. {item.title}", "", item.says, "", *map("- {}".format, by_file(tests))]
    if item.later:
        lines += ["", f"*Comes later:* {item.later}"]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
