"""The page names tests that exist, and leaves none of this folder out."""

from __future__ import annotations

from tests.conformance.proofs import Proof, collect
from tests.hostile import page


def everything() -> set[Proof]:
    return set(collect(lambda _: [0])[0])


def named() -> set[Proof]:
    return {proof for rows in page.subjects().values() for row in rows for proof in row.named()}


def test_the_page_is_not_stale() -> None:
    found = page.PAGE.read_text(encoding="utf-8")
    assert found == page.render(), "run: python -m tests.hostile.page"


def test_every_test_that_is_named_exists() -> None:
    assert named() - everything() == set()


def test_every_hostile_test_stands_on_the_page() -> None:
    ours = {proof for proof in everything() if proof.file.startswith("hostile/test_")}
    of_the_page = {proof for proof in ours if proof.file == "hostile/test_page.py"}
    assert ours - of_the_page - named() == set()
