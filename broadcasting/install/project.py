"""Where the files of a project are, found from ``manage.py`` without importing anything."""

from __future__ import annotations

import ast
import io
import os
import tokenize
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from broadcasting.install.source import NotUnderstood, Source, strings

VARIABLE = "DJANGO_SETTINGS_MODULE"


class NoProject(Exception):
    """There is no Django project to be found here; the text says what was looked for."""


@dataclass(frozen=True, slots=True)
class File:
    """The bytes of a file and how they are read."""

    path: Path
    content: bytes
    encoding: str

    @property
    def text(self) -> str:
        """The text with its own line ends."""
        return self.content.decode(self.encoding)

    def encode(self, text: str) -> bytes:
        """Return ``text`` as this file writes it, byte order mark included."""
        return text.encode(self.encoding)


def read(path: Path) -> File:
    """Return the Python file at ``path``.

    Raises NotUnderstood for one that is not text, or may not be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise NotUnderstood(f"it cannot be read ({error.strerror})") from error
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
        content.decode(encoding)
    except (SyntaxError, UnicodeDecodeError) as error:
        raise NotUnderstood(f"it cannot be decoded ({error})") from error
    return File(path, content, encoding)


@dataclass(frozen=True, slots=True)
class Project:
    """A folder with ``manage.py``, and the module that its settings come from."""

    folder: Path
    settings_module: str

    def module(self, dotted: str) -> Path | None:
        """Return the file of a module of this project, or None if it is not here."""
        for root in (self.folder, self.folder / "src"):
            path = root.joinpath(*dotted.split("."))
            for candidate in (path.with_name(path.name + ".py"), path / "__init__.py"):
                if candidate.is_file():
                    return candidate
        return None

    def shown(self, path: Path) -> str:
        """Return ``path`` as its owner would type it."""
        if path.is_relative_to(self.folder):
            return path.relative_to(self.folder).as_posix()
        return str(path)

    def settings_files(self) -> list[File]:
        """Return the settings file and what it star-imports from the project, outermost first.

        Raises NotUnderstood for a file that is not Python, NoProject when there is none.
        """
        path = self.module(self.settings_module)
        if path is None:
            raise NoProject(f"The settings module {self.settings_module!r} is not below here.")
        return list(self._settings_files(self.settings_module, path, set()))

    def _settings_files(self, module: str, path: Path, seen: set[Path]) -> Iterator[File]:
        seen.add(path)
        file = read(path)
        yield file
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        for node in reversed(Source(file.text).imports()):
            if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
                name = _absolute(node, package)
                inner = self.module(name)
                if inner is not None and inner not in seen:
                    yield from self._settings_files(name, inner, seen)


def find(folder: Path, environ: Mapping[str, str], settings_module: str | None = None) -> Project:
    """Return the project in ``folder``; its settings as ``manage.py`` would choose them.

    Raises NoProject, NotUnderstood.
    """
    manage = folder / "manage.py"
    if not manage.is_file():
        raise NoProject(f"There is no manage.py in {folder}. Run this beside it.")
    module = settings_module or environ.get(VARIABLE) or _from_manage(manage)
    if not module:
        raise NoProject(f"manage.py does not set {VARIABLE}. Name your settings with --settings.")
    return Project(Path(os.path.realpath(folder)), module)


def _from_manage(manage: Path) -> str | None:
    source = Source(read(manage).text)
    for node in ast.walk(source.tree):
        match node:
            case ast.Call(args=[ast.Constant(value=name), default]) if name == VARIABLE:
                found = strings(default)
            case ast.Assign(targets=[ast.Subscript(slice=ast.Constant(value=name))]) if (
                name == VARIABLE
            ):
                found = strings(node.value)
            case _:
                continue
        if len(found) == 1:
            return found.pop()
    return None


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parents = package.split(".")
    base = parents[: len(parents) - node.level + 1]
    return ".".join([*base, *([node.module] if node.module else [])])
