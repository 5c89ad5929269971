"""The page of ``docs/`` that says what of the protocol holds, and which test proves it.

A docstring that begins with numbers says what its test proves: ``81-85, 91, 105.``, then
nothing, or whatever else is to be said. The rest stands in ``assertions.toml``.

``python -m tests.conformance.page`` writes the page anew.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass

from tests.conformance.proofs import HERE, TESTS, Proof, beyond_label, by_file, collect

PAGE = TESTS.parent / "docs" / "reference" / "conformance.md"
STATEMENTS = HERE / "assertions.toml"

_NUMBERS = re.compile(r"(\d+(?:-\d+)?(?:, \d+(?:-\d+)?)*)(?:$|[.:;](?!\d)|, (?!\d|and \d))")

HEAD = """\
# Conformance

What a Pusher-protocol server owes its clients, number by number, and the tests that prove it
here. This page is made from the tests. They run against `websockets_serve`, as it is and with
nothing but ASGI between it and the application, and against Daphne.

*By* says who demands it: **Pusher**, as its documentation and pusher-js do; **Laravel Echo**, as
Echo and Reverb do; **our choice**, where servers differ or nothing is written; **fault**, what
must hold when something breaks. What we do differently, and why, stands in italics.

A test's name is given as words: *a ping is answered* is `test_a_ping_is_answered`, in the file
under `tests/` that stands before it. {proved} of {all} are proved; the others say why not.
"""


@dataclass(frozen=True, kw_only=True)
class Assertion:
    """One number: what holds, and why it has no test if it has none."""

    no: int
    by: str
    says: str
    ours: str = ""
    later: str = ""
    """What has to come first."""

    not_run: str = ""
    """What cannot run in the suite, and what stands in for it."""


class BadNumbers(ValueError):
    """A docstring begins like a list of numbers and is none."""


def numbers_of(docstring: str) -> list[int]:
    """Return what a docstring says that its test proves."""
    if not docstring[:1].isdigit():
        if re.match(r"Assertions? \d", docstring):
            raise BadNumbers(docstring)
        return []
    found = _NUMBERS.match(docstring)
    if found is None:
        raise BadNumbers(docstring)
    numbers: list[int] = []
    for part in found[1].split(", "):
        first, _, last = part.partition("-")
        span = range(int(first), int(last or first) + 1)
        if not span:
            raise BadNumbers(docstring)
        numbers += span
    return numbers


def subjects() -> dict[str, list[Assertion]]:
    """Return the assertions under their headings, as the data file has them."""
    content = tomllib.loads(STATEMENTS.read_text(encoding="utf-8"))
    return {
        subject["title"]: [Assertion(**fields) for fields in subject["assertions"]]
        for subject in content["subjects"]
    }


def proofs() -> Mapping[int, list[Proof]]:
    """Return the tests of each number, those over a real socket first."""
    return collect(lambda docstring: numbers_of(beyond_label(docstring)))


def render() -> str:
    """Return the page."""
    known, tests = subjects(), proofs()
    numbers = [assertion.no for subject in known.values() for assertion in subject]
    proved = sum(number in tests for number in numbers)
    parts = [HEAD.format(proved=proved, all=len(numbers))]
    for title, assertions in known.items():
        parts.append(
            f"## {title}\n\n| No. | By | What holds | Proved by |\n| --- | --- | --- | --- |"
        )
        parts += [_row(assertion, tests.get(assertion.no, [])) for assertion in assertions]
        parts.append("")
    return "\n".join(parts)


def _row(assertion: Assertion, tests: list[Proof]) -> str:
    holds = assertion.says + (f" *{assertion.ours}*" if assertion.ours else "")
    proved = by_file(tests)
    if assertion.later:
        proved.append(f"Comes later: {assertion.later}")
    if assertion.not_run:
        proved.append(f"Not run: {assertion.not_run}")
    return f"| {assertion.no} | {assertion.by} | {holds} | {'<br>'.join(proved)} |"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
