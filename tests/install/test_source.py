"""Items, imports and lines go into the text as its owner would have typed them."""

from __future__ import annotations

import pytest

from broadcasting.install.source import NotUnderstood, Source


def prepended(text: str) -> str:
    source = Source(text)
    source.prepend_items(source.leftmost("X"), ["'new'", "'two'"])
    return source.result()


def appended(text: str) -> str:
    source = Source(text)
    source.append_items(source.leftmost("X"), ["'new'"])
    return source.result()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("X = ['a']\n", "X = ['new', 'two', 'a']\n"),
        ("X = ['a', 'b',]\n", "X = ['new', 'two', 'a', 'b',]\n"),
        ("X = []\n", "X = ['new', 'two']\n"),
        ("X = ()\n", "X = ('new', 'two',)\n"),
        ("X = ('a',)\n", "X = ('new', 'two', 'a',)\n"),
        ("X = 'a', 'b'\n", "X = 'new', 'two', 'a', 'b'\n"),
        ("X = [\n    'a',\n]\n", "X = [\n    'new',\n    'two',\n    'a',\n]\n"),
        ("X = [\n\t'a'\n]\n", "X = [\n\t'new',\n\t'two',\n\t'a'\n]\n"),
        ("X = [  # x\n  # y\n  'a',\n]", "X = [  # x\n  'new',\n  'two',\n  # y\n  'a',\n]"),
        ("X = ['a',\n     'b']\n", "X = ['new',\n     'two',\n     'a',\n     'b']\n"),
        ("X: list[str] = ['a']\n", "X: list[str] = ['new', 'two', 'a']\n"),
        ("A = ['a']\nX = A + ['b']\n", "A = ['new', 'two', 'a']\nX = A + ['b']\n"),
        ("X = ['a']\nX += ['b']\n", "X = ['new', 'two', 'a']\nX += ['b']\n"),
        ("X = ['a']\nX = X + ['b']\n", "X = ['new', 'two', 'a']\nX = X + ['b']\n"),
        ("X = ['é', 'a']\n", "X = ['new', 'two', 'é', 'a']\n"),
        ("X = [\n'a',\n]\n", "X = [\n'new',\n'two',\n'a',\n]\n"),
        ("X = [('a'), 'b']\n", "X = ['new', 'two', ('a'), 'b']\n"),
        ("X = (('a'), 'b')\n", "X = ('new', 'two', ('a'), 'b')\n"),
        ("X = [\n    ('a'),\n]\n", "X = [\n    'new',\n    'two',\n    ('a'),\n]\n"),
        ("X = [\n (\n  'a'\n 'b'\n ),\n]\n", "X = [\n 'new',\n 'two',\n (\n  'a'\n 'b'\n ),\n]\n"),
        ("é = 1; X = ['a']\n", "é = 1; X = ['new', 'two', 'a']\n"),
    ],
)  # fmt: skip
def test_items_go_in_front(before: str, after: str) -> None:
    assert prepended(before) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("X = ['a']\n", "X = ['a', 'new']\n"),
        ("X = ('a',)\n", "X = ('a', 'new',)\n"),
        ("X = ()\n", "X = ('new',)\n"),
        ("X = [\n    'a',\n]\n", "X = [\n    'a',\n    'new',\n]\n"),
        ("X = [\n    'a'\n]\n", "X = [\n    'a',\n    'new'\n]\n"),
        ("X = [\n    'a',  # why\n]\n", "X = [\n    'a',  # why\n    'new',\n]\n"),
        ("X = [\n    'a'  # why\n]\n", "X = [\n    'a',  # why\n    'new'\n]\n"),
        ("X = ['a',\n     'b']\n", "X = ['a',\n     'b',\n     'new']\n"),
        ("X = [\n    'a',\n    'b',]\n", "X = [\n    'a',\n    'b',\n    'new',]\n"),
        ("X = [('a')]\n", "X = [('a'), 'new']\n"),
        ("X = ('b', ((('a') )))\n", "X = ('b', ((('a') )), 'new')\n"),
        ("X = [\n    ('a' 'b'),\n]\n", "X = [\n    ('a' 'b'),\n    'new',\n]\n"),
        (
            "X = [\n  (\n    'a'\n    'b'\n  )\n]\n",
            "X = [\n  (\n    'a'\n    'b'\n  ),\n  'new'\n]\n",
        ),
        (
            "X = [\n  (\n    'a'\n  ),  # why\n]\n",
            "X = [\n  (\n    'a'\n  ),  # why\n  'new',\n]\n",
        ),
        ("X = [\n    'a',\n    # end\n]\n", "X = [\n    'a',\n    'new',\n    # end\n]\n"),
    ],
)
def test_items_go_behind(before: str, after: str) -> None:
    assert appended(before) == after


def test_items_go_behind_a_given_one() -> None:
    source = Source("X = [\n    'a',  # first\n    'b',\n]\n")
    sequence = source.leftmost("X")
    source.insert_behind(sequence, sequence.elts[0], ["'new'", "'two'"])
    assert source.result() == "X = [\n    'a',  # first\n    'new',\n    'two',\n    'b',\n]\n"


def test_line_ends_stay_what_they_are() -> None:
    assert prepended("X = [\r\n    'a',\r\n]\r\n") == (
        "X = [\r\n    'new',\r\n    'two',\r\n    'a',\r\n]\r\n"
    )


@pytest.mark.parametrize(
    "text",
    [
        "X = make()\n",
        "X = base.X + ['a']\n",
        "if True:\n    X = ['a']\n",
        "X += ['a']\n",
        "Y = 1\n",
    ],
)
def test_a_list_that_is_made_otherwise_is_not_understood(text: str) -> None:
    with pytest.raises(NotUnderstood, match="X is not a plain list"):
        prepended(text)


def test_strings_are_found_wherever_they_are_added() -> None:
    source = Source(
        "A = ['a']\nX = A + ['b']\nif A:\n    X += ('c',)\nX.append('d')\nY = ['other']\n"
    )
    assert source.strings_in("X") == {"a", "b", "c", "d"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("from m import path\n", "from m import include, path\n"),
        ("from m import include\n", "from m import include, path\n"),
        ("from m import re_path, views\n", "from m import include, path, re_path, views\n"),
        ("from m import path, include  # both\n", "from m import path, include  # both\n"),
        (
            "from m import (\n    path,\n    re_path,\n)\n",
            "from m import (\n    include,\n    path,\n    re_path,\n)\n",
        ),
        ("import os\n", "import os\nfrom m import include, path\n"),
        ("import b\nfrom z import y\n", "import b\nfrom m import include, path\nfrom z import y\n"),
        ('"""Doc."""\n\nX = 1\n', '"""Doc."""\n\nfrom m import include, path\n\nX = 1\n'),
        ("X = 1\n", "from m import include, path\nX = 1\n"),
        (
            "from __future__ import annotations\n",
            "from __future__ import annotations\n\nfrom m import include, path\n",
        ),
        ("from m import *\n", "from m import *\nfrom m import include, path\n"),
    ],
)  # fmt: skip
def test_names_are_imported(before: str, after: str) -> None:
    source = Source(before)
    source.import_names("m", ["include", "path"])
    assert source.result() == after


def test_a_name_that_means_something_else_is_left_alone() -> None:
    source = Source("from os import path\n")
    with pytest.raises(NotUnderstood, match="'path'"):
        source.import_names("m", ["include", "path"])


def test_what_is_not_python_is_not_understood() -> None:
    with pytest.raises(NotUnderstood, match="not valid Python"):
        Source("X = [\n")


@pytest.mark.parametrize(
    "text", ["X = [(  # why\n'a'), 'b']\n", "X = ['b', ('a'  # why\n)]\n", "X = ('a'), ('b')\n"]
)
def test_what_would_come_out_as_something_else_is_left_alone(text: str) -> None:
    for edit in (prepended, appended):
        try:
            after = edit(text)
        except NotUnderstood:
            continue
        names: dict[str, list[str]] = {}
        exec(after, names)  # noqa: S102 - the text of these very lines
        assert set(names["X"]) == {"a", "b", "new"} | ({"two"} if edit is prepended else set())
