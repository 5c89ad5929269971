"""Every item of the application side has a test, and the page says which."""

from __future__ import annotations

import pytest

from tests.conformance import application_page as page
from tests.conformance.proofs import BadLabel, beyond_label, labels_of

LAST = 24


def test_the_page_is_not_stale() -> None:
    found = page.PAGE.read_text(encoding="utf-8")
    assert found == page.render(), "run: python -m tests.conformance.application_page"


def test_every_item_is_stated_once() -> None:
    assert [item.no for item in page.items()] == [*range(1, LAST + 1)]


def test_every_item_has_a_test_or_a_reason() -> None:
    tests = page.proofs()
    assert [item.no for item in page.items() if not (tests.get(item.no) or item.later)] == []


def test_every_item_that_a_test_names_exists() -> None:
    assert {no: tests for no, tests in page.proofs().items() if not 1 <= no <= LAST} == {}


@pytest.mark.parametrize(
    ("docstring", "numbers", "rest"),
    [
        ("", [], ""),
        ("Apps 8 and more.", [], "Apps 8 and more."),
        ("App 8", [8], ""),
        ("App 8.", [8], ""),
        ("App 8: why.", [8], ""),
        ("App 13: 200 for a form.", [13], ""),
        ("App 8, 12: why.", [8, 12], ""),
        ("App 16. 245: why.", [16], "245: why."),
    ],
)
def test_a_docstring_begins_with_its_items(docstring: str, numbers: list[int], rest: str) -> None:
    assert labels_of(docstring) == numbers
    assert beyond_label(docstring) == rest


@pytest.mark.parametrize("docstring", ["App 8 and 9: why.", "App 8,9: why.", "App8: why."])
def test_what_merely_looks_like_a_label_is_an_error(docstring: str) -> None:
    """So that no proof gets lost by its spelling."""
    with pytest.raises(BadLabel):
        labels_of(docstring)
