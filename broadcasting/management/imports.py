"""Imports added to a module where isort would put them: Python's own, others', the project's."""

from __future__ import annotations

import ast
import sys
from collections.abc import Collection, Sequence

from broadcasting.install.source import Import, NotUnderstood, Source

_Key = tuple[int, bool, str]


def add_import(source: Source, module: str, names: Sequence[str], ours: Collection[str]) -> None:
    """Make sure of ``from module import names``. Raises NotUnderstood if a name is taken.

    ``ours``: the top-level packages of the project.
    """
    names = [name for name in names if not _comes_from(source, module, name)]
    if not names:
        return
    if any(_module(node) == module for node in source.imports() if _is_from(node)):
        source.import_names(module, [*names])
        return
    if taken := [name for name in names if source.binds(name)]:
        raise NotUnderstood(f"it already uses the name {taken[0]!r} for something else")
    line = f"from {module} import {', '.join(sorted(names))}\n"
    new = _key(module, True, ours)
    before = [node for node in source.imports() if _key_of(node, ours) < new]
    behind = [node for node in source.imports() if _key_of(node, ours) > new]
    if behind and _key_of(behind[0], ours)[0] == new[0]:
        source.insert(source.start(behind[0]), line)
    elif before:
        last = before[-1]
        gap = "\n" if _key_of(last, ours)[0] != new[0] else ""
        source.insert(source.after_line(last.end_lineno or last.lineno), gap + line)
    elif behind:
        source.insert(source.start(behind[0]), f"{line}\n")
    else:
        _first(source, line)


def _first(source: Source, line: str) -> None:
    if ast.get_docstring(source.tree) is None:
        source.insert(0, line)
    else:
        docstring = source.tree.body[0]
        place = source.after_line(docstring.end_lineno or docstring.lineno)
        source.insert(place, "\n" + line)


def _comes_from(source: Source, module: str, name: str) -> bool:
    """Whether ``name`` is imported already, from there or from elsewhere in that package."""
    root = module.partition(".")[0]
    return any(
        _is_from(node)
        and _module(node).partition(".")[0] == root
        and any((alias.asname or alias.name) == name for alias in node.names)
        for node in source.imports()
    )


def _key_of(node: Import, ours: Collection[str]) -> _Key:
    return _key(_module(node), _is_from(node), ours)


def _key(module: str, is_from: bool, ours: Collection[str]) -> _Key:
    root = module.partition(".")[0]
    if root == "__future__":
        section = 0
    elif root in sys.stdlib_module_names:
        section = 1
    else:
        # What begins with a dot has no root, and comes last.
        section = 4 if not root else 3 if root in ours else 2
    return section, is_from, module


def _module(node: Import) -> str:
    if isinstance(node, ast.ImportFrom):
        return "." * node.level + (node.module or "")
    return node.names[0].name


def _is_from(node: Import) -> bool:
    return isinstance(node, ast.ImportFrom)
