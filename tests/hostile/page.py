"""The page of ``docs/`` that says what hostile peers get, and which test proves it.

``python -m tests.hostile.page`` writes the page anew.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass

from tests.conformance.proofs import TESTS, Proof, by_file

PAGE = TESTS.parent / "docs" / "explanation" / "hostile-clients.md"
ROWS = TESTS / "hostile" / "behaviours.toml"

HEAD = """\
# Hostile clients

What was tried against a real `websockets_serve`, what it does about it, and the bound that held
while an honest socket went on getting its events. This page is made from the tests. Memory is what
the process grew by, divided by a crowd of 150 such sockets; the tests fail at 200 KB each. Under
Daphne, what waits for a slow reader is Daphne's own, and has no bound.

A test's name is given as words: *each costs little* is `test_each_costs_little`, in the file under
`tests/` that stands before it.
"""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One behaviour."""

    did: str
    does: str
    bound: str
    proofs: dict[str, list[str]]

    def named(self) -> Iterator[Proof]:
        """Yield the tests that it names."""
        for file, names in self.proofs.items():
            yield from (Proof(file, name.replace("_", " ")) for name in names)


def subjects() -> dict[str, list[Row]]:
    """Return the rows under their headings."""
    content = tomllib.loads(ROWS.read_text(encoding="utf-8"))
    return {
        subject["title"]: [Row(**fields) for fields in subject["rows"]]
        for subject in content["subjects"]
    }


def render() -> str:
    """Return the page."""
    parts = [HEAD]
    for title, rows in subjects().items():
        parts.append(f"## {title}\n")
        parts.append("| Who | The server | What held | Proved by |\n| --- | --- | --- | --- |")
        for row in rows:
            proved = "<br>".join(by_file(row.named()))
            parts.append(f"| {row.did} | {row.does} | {row.bound} | {proved} |")
        parts.append("")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
