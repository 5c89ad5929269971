"""Every number has a test or a reason, and the page says so."""

from __future__ import annotations

import pytest

from tests.conformance import page

LAST = 267


def test_the_page_is_not_stale() -> None:
    found = page.PAGE.read_text(encoding="utf-8")
    assert found == page.render(), "run: python -m tests.conformance.page"


def test_every_number_is_stated_once() -> None:
    stated = [assertion.no for subject in page.subjects().values() for assertion in subject]
    assert stated == [*range(1, LAST + 1)]


def test_every_number_has_a_test_or_a_reason() -> None:
    tests = page.proofs()
    without = [
        assertion.no
        for subject in page.subjects().values()
        for assertion in subject
        if not (tests.get(assertion.no) or assertion.later or assertion.not_run)
    ]
    assert without == []


def test_every_number_that_a_test_names_exists() -> None:
    beyond = {no: tests for no, tests in page.proofs().items() if not 1 <= no <= LAST}
    assert beyond == {}


@pytest.mark.parametrize(
    ("docstring", "numbers"),
    [
        ("", []),
        ("Says nothing of numbers, not even of 81.", []),
        ("81.", [81]),
        ("81-83, 91.", [81, 82, 83, 91]),
        ("81, 91: and why.", [81, 91]),
        ("226, on one node.", [226]),
        ("226", [226]),
    ],
)
def test_a_docstring_begins_with_its_numbers(docstring: str, numbers: list[int]) -> None:
    assert page.numbers_of(docstring) == numbers


@pytest.mark.parametrize(
    "docstring",
    ["81 and 82.", "81,82.", "85-81.", "2.1 seconds", "81, 82, and 83.", "Assertion 9."],
)
def test_what_merely_looks_like_numbers_is_an_error(docstring: str) -> None:
    """So that no proof gets lost by its spelling."""
    with pytest.raises(page.BadNumbers):
        page.numbers_of(docstring)
