"""One Python file as text plus tree: find places by syntax, insert text there.

Knows Python, nothing of Django. Insertions are collected first and made at once, so that
offsets stay those of the original.
"""

from __future__ import annotations

import ast
import re
from bisect import bisect_right
from collections.abc import Iterator

Sequence = ast.List | ast.Tuple
Import = ast.Import | ast.ImportFrom


class NotUnderstood(Exception):
    """The file is written in a way that cannot be edited safely; the text says which."""


class Source:
    """The text of one module, and what is to be inserted into it. Raises NotUnderstood."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.newline = "\r\n" if "\r\n" in text else "\n"
        self.quote = "'" if text.count("'") > text.count('"') else '"'
        try:
            self.tree = ast.parse(text)
        except (SyntaxError, ValueError) as error:
            raise NotUnderstood(f"it is not valid Python ({error})") from error
        # Not splitlines(): Python knows three line ends, Unicode many more.
        self._lines = [m[0] for m in re.finditer(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z", text)]
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line))
        self._insertions: list[tuple[int, int, str]] = []
        self._expected: list[list[str]] = []
        """What each list or tuple that was added to has to hold in the end."""

    # -- reading -----------------------------------------------------------------------------

    def start(self, node: ast.expr | ast.stmt | ast.alias) -> int:
        """Return the offset of the first character of ``node``."""
        return self._offset(node.lineno, node.col_offset)

    def end(self, node: ast.expr | ast.stmt | ast.alias) -> int:
        """Return the offset just behind ``node``."""
        return self._offset(_last_line(node), node.end_col_offset or 0)

    def after_line(self, line: int) -> int:
        """Return where the line behind ``line`` (from 1) starts."""
        return self._starts[min(line, len(self._lines))]

    def indentation(self, node: ast.expr | ast.stmt | ast.alias) -> str:
        """Return the blanks that put a new line's text under the start of ``node``."""
        return self._indentation_at(self.start(node))

    def assigned(self, name: str, before: int | None = None) -> list[ast.expr]:
        """Return the values that top-level statements give ``name``, above line ``before``."""
        return [
            value
            for target, value in _assignments(self.tree.body)
            if target == name and (before is None or value.lineno < before)
        ]

    def binds(self, name: str) -> bool:
        """Whether anything in the file assigns or imports ``name``, at whatever depth."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store):
                return True
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
                return True
            if isinstance(node, ast.alias) and (node.asname or node.name) == name:
                return True
        return False

    def text_of(self, name: str) -> str | None:
        """Return the string that ``name`` is set to last, or None."""
        values = self.assigned(name)
        if values and isinstance(values[-1], ast.Constant) and isinstance(values[-1].value, str):
            return values[-1].value
        return None

    def strings_in(self, name: str, seen: frozenset[str] = frozenset()) -> set[str]:
        """Return every string put into the list ``name``, also by ``+=`` or through a name."""
        found: set[str] = set()
        for node in ast.walk(self.tree):
            match node:
                case (
                    ast.Assign(targets=[ast.Name(id=target)])
                    | ast.AnnAssign(target=ast.Name(id=target))
                    | ast.AugAssign(target=ast.Name(id=target))
                    | ast.Call(func=ast.Attribute(value=ast.Name(id=target)))
                ) if target == name:
                    found |= strings(node)
                    for inner in names(node) - seen - {name}:
                        found |= self.strings_in(inner, seen | {name})
        return found

    def leftmost(self, name: str) -> Sequence:
        """Return the list or tuple that ``name`` begins with, through names and ``+``.

        Raises NotUnderstood when it is made in any other way.
        """
        for value in reversed(self.assigned(name)):
            if found := self._leftmost(value):
                return found
        raise NotUnderstood(f"{name} is not a plain list")

    def imports(self) -> list[Import]:
        """Return the top-level import statements."""
        return [node for node in self.tree.body if isinstance(node, ast.Import | ast.ImportFrom)]

    def imported_from(self, module: str, name: str) -> bool:
        """Whether ``from module import name`` is there, under that very name."""
        return any(
            isinstance(node, ast.ImportFrom)
            and node.module == module
            and any(alias.name == name and alias.asname in (None, name) for alias in node.names)
            for node in self.imports()
        )

    # -- writing -----------------------------------------------------------------------------

    def insert(self, offset: int, text: str) -> None:
        """Put ``text`` (with ``\\n``) at ``offset``; earlier calls come first."""
        self._insertions.append((offset, len(self._insertions), text.replace("\n", self.newline)))

    def append(self, text: str) -> None:
        """Put ``text`` behind everything, on a line of its own."""
        if self.text and not self.text.endswith(("\n", "\r")):
            text = "\n" + text
        self.insert(len(self.text), text)

    def prepend_items(self, sequence: Sequence, items: list[str]) -> None:
        """Put ``items`` (source text) in front of a list or tuple, in its own layout."""
        self._expect(sequence, 0, items)
        if not sequence.elts:
            self._fill(sequence, items)
            return
        start, _ = self._extent(sequence, sequence.elts[0])
        indentation = self._indentation_at(start)
        if self._line_at(start) > sequence.lineno:
            # Above a comment that heads the first item, too.
            text = "".join(f"{indentation}{item},\n" for item in items)
            self.insert(self.after_line(sequence.lineno), text)
            return
        several_lines = _last_line(sequence.elts[-1]) > sequence.lineno
        between = f",\n{indentation}" if several_lines else ", "
        self.insert(start, "".join(item + between for item in items))

    def append_items(self, sequence: Sequence, items: list[str]) -> None:
        """Put ``items`` (source text) behind a list or tuple, in its own layout."""
        if not sequence.elts:
            self._expect(sequence, 0, items)
            self._fill(sequence, items)
            return
        self.insert_behind(sequence, sequence.elts[-1], items)

    def insert_behind(self, sequence: Sequence, item: ast.expr, items: list[str]) -> None:
        """Put ``items`` (source text) behind ``item`` of ``sequence``."""
        self._expect(sequence, sequence.elts.index(item) + 1, items)
        start, end = self._extent(sequence, item)
        indentation = self._indentation_at(start)
        line_end = self.after_line(self._line_at(end - 1))
        comma, rest = _split_comma(self.text[end:line_end])
        multiline = _last_line(sequence.elts[-1]) > sequence.lineno
        if multiline and (not rest or rest.startswith("#")):
            # A comment at the end of the line stays with its item.
            if not comma:
                self.insert(end, ",")
            text = ",\n".join(indentation + new for new in items)
            last = item is sequence.elts[-1] and not comma
            self.insert(line_end, text + ("\n" if last else ",\n"))
            return
        between = f",\n{indentation}" if multiline else ", "
        self.insert(end, "".join(between + new for new in items))

    def import_names(self, module: str, names: list[str]) -> None:
        """Make sure of ``from module import names``. Raises NotUnderstood if a name is taken."""
        missing = [name for name in names if not self.imported_from(module, name)]
        if taken := [name for name in missing if self.binds(name)]:
            raise NotUnderstood(f"it already uses the name {taken[0]!r} for something else")
        if not missing:
            return
        for node in self.imports():
            if isinstance(node, ast.ImportFrom) and node.module == module and node.level == 0:
                self._extend_import(node, missing)
                return
        self._add_import(module, missing)

    def result(self) -> str:
        """Return the text with everything inserted. Raises NotUnderstood if that is not Python."""
        text = self.text
        # From the end, and of two at one place the later call first: offsets stay true.
        for offset, _, addition in sorted(self._insertions, reverse=True):
            text = text[:offset] + addition + text[offset:]
        try:
            tree = ast.parse(text)
        except SyntaxError as error:
            raise NotUnderstood("its layout cannot be edited safely") from error
        made = [_dumps(node.elts) for node in ast.walk(tree) if isinstance(node, Sequence)]
        if any(expected not in made for expected in self._expected):
            # Valid, and something else than what was meant.
            raise NotUnderstood("its layout cannot be edited safely")
        return text

    # -- inside ------------------------------------------------------------------------------

    def _offset(self, line: int, column: int) -> int:
        # The tree counts columns in bytes of UTF-8.
        text = self._lines[line - 1].encode()[:column].decode()
        return self._starts[line - 1] + len(text)

    def _leftmost(self, value: ast.expr) -> Sequence | None:
        match value:
            case ast.List() | ast.Tuple():
                return value
            case ast.BinOp(op=ast.Add(), left=left):
                return self._leftmost(left)
            case ast.Name(id=name):
                earlier = self.assigned(name, before=value.lineno)
                return self._leftmost(earlier[-1]) if earlier else None
            case _:
                return None

    def _expect(self, sequence: Sequence, index: int, items: list[str]) -> None:
        there = _dumps(sequence.elts)
        new = _dumps([ast.parse(item, mode="eval").body for item in items])
        self._expected.append([*there[:index], *new, *there[index:]])

    def _extent(self, sequence: Sequence, item: ast.expr) -> tuple[int, int]:
        """Return where ``item`` starts and ends, with the parentheses around it.

        The tree leaves them out. Those of a tuple itself are not its items'.
        """
        start, end = self.start(item), self.end(item)
        first, last = self.start(sequence), self.end(sequence)
        if self.text[first] in "([" and self.text[last - 1] in ")]":
            first, last = first + 1, last - 1
        while opening := re.search(r"\(\s*\Z", self.text[first:start]):
            closing = re.match(r"\s*\)", self.text[end:last])
            if closing is None:
                break
            start = first + opening.start()
            end += closing.end()
        return start, end

    def _line_at(self, offset: int) -> int:
        """Return the line (from 1) that holds the character at ``offset``."""
        return bisect_right(self._starts, offset)

    def _indentation_at(self, offset: int) -> str:
        """See indentation(), for the text at ``offset``."""
        line_start = self._starts[self._line_at(offset) - 1]
        before = self.text[line_start:offset]
        return before if before.isspace() else " " * len(before)

    def _fill(self, sequence: Sequence, items: list[str]) -> None:
        text = ", ".join(items)
        if isinstance(sequence, ast.Tuple):
            text += ","
        self.insert(self.start(sequence) + 1, text)

    def _extend_import(self, node: ast.ImportFrom, names: list[str]) -> None:
        # A star among the names would be alone, and its names are not known.
        if node.names[0].name == "*":
            self._add_import(str(node.module), names)
            return
        for name in names:
            behind = next((alias for alias in node.names if alias.name > name), None)
            if behind is not None:
                between = ",\n" + self.indentation(behind)
                several = node.end_lineno != node.lineno
                own_line = behind.lineno > node.lineno
                self.insert(self.start(behind), name + (between if several and own_line else ", "))
            else:
                self.insert(self.end(node.names[-1]), f", {name}")

    def _add_import(self, module: str, names: list[str]) -> None:
        line = f"from {module} import {', '.join(names)}\n"
        froms = [node for node in self.imports() if isinstance(node, ast.ImportFrom)]
        future = [node for node in froms if node.module == "__future__"]
        others = [node for node in froms if node.module != "__future__"]
        if others:
            place = next((n for n in others if (n.module or "") > module), None)
            if place is not None:
                self.insert(self._starts[place.lineno - 1], line)
            else:
                self.insert(self._below(others[-1]), line)
        elif every := self.imports():
            self.insert(self._below(every[-1]), ("\n" if future else "") + line)
        else:
            docstring = self.tree.body[:1] if ast.get_docstring(self.tree) is not None else []
            self.insert(self._below(docstring[0]) if docstring else 0, "\n" * len(docstring) + line)

    def _below(self, node: ast.expr | ast.stmt) -> int:
        return self.after_line(_last_line(node))


def strings(node: ast.AST) -> set[str]:
    """Return every string literal inside ``node``."""
    return {
        inner.value
        for inner in ast.walk(node)
        if isinstance(inner, ast.Constant) and isinstance(inner.value, str)
    }


def _dumps(nodes: list[ast.expr]) -> list[str]:
    return [ast.dump(node) for node in nodes]


def names(node: ast.AST) -> set[str]:
    """Return every name that is used inside ``node``."""
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}


def _assignments(body: list[ast.stmt]) -> Iterator[tuple[str, ast.expr]]:
    for node in body:
        match node:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    if isinstance(target, ast.Name):
                        yield target.id, value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                yield name, value


def _last_line(node: ast.expr | ast.stmt | ast.alias) -> int:
    return node.end_lineno or node.lineno


def _split_comma(rest: str) -> tuple[bool, str]:
    rest = rest.strip()
    return rest.startswith(","), rest.removeprefix(",").strip()
