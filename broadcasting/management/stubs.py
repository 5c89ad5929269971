"""Puts a new class into a module of an app: made, added to, never overwritten unasked."""

from __future__ import annotations

import ast
import keyword
import re
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from django.apps import AppConfig, apps
from django.core.management.base import CommandError
from django.db.models import Model

from broadcasting.install.source import NotUnderstood, Source
from broadcasting.management.imports import add_import


@dataclass(frozen=True, slots=True, kw_only=True)
class Stub:
    """A class to begin with."""

    name: str
    code: str
    """Its source text, decorators included, with a line end."""

    imports: Mapping[str, list[str]]
    """Module -> the names that it needs of it."""

    docstring: str
    """Of a module that is made for it."""


def app_of(label: str) -> AppConfig:
    """Return the app of this project called ``label`` or by its path. Raises CommandError."""
    configs = [*apps.get_app_configs()]
    ours = apps_of_the_project()
    for config in configs:
        if label in (config.label, config.name):
            if config not in ours:
                raise CommandError(
                    f"{config.name} is an installed package, not yours to write in{_known(ours)}"
                )
            return config
    raise CommandError(f"No app is called {label!r}: is it in INSTALLED_APPS?{_known(ours)}")


def apps_of_the_project() -> list[AppConfig]:
    """Return the apps that are not installed packages."""
    return [
        config
        for config in apps.get_app_configs()
        if config.name != "broadcasting" and not _is_installed(Path(config.path))
    ]


def model_of(config: AppConfig, name: str) -> type[Model]:
    """Return the model ``Order`` of the app, or ``other.Order``. Raises CommandError."""
    try:
        return apps.get_model(name) if "." in name else config.get_model(name)
    except (LookupError, ValueError) as error:
        raise CommandError(f"No model {name!r}: {error}") from error


def class_name(text: str) -> str:
    """Return ``text`` if a class may be called so. Raises CommandError."""
    if not text.isidentifier() or keyword.iskeyword(text):
        raise CommandError(f"{text!r} is not a name for a class: write it as OrderShipped")
    return text


def snake(name: str) -> str:
    """Return ``OrderShipped`` as ``order_shipped``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def write(config: AppConfig, module: str, stub: Stub, *, force: bool) -> Path:
    """Put ``stub`` into ``module`` of the app, and return the file.

    Into ``events.py``, made if it is missing; where ``events`` is a package, into a file of its
    own there, which its ``__init__.py`` imports. Raises CommandError for a class that is there
    already, unless ``force``, and for a file that cannot be edited safely.
    """
    folder = Path(config.path)
    package = folder / module
    if not (package / "__init__.py").is_file():
        path = folder / f"{module}.py"
        _put(path, stub, force)
        return path
    path = package / f"{snake(stub.name)}.py"
    face = package / "__init__.py"
    here = f"{config.name}.{module}.{path.stem}"
    # Before anything is written: both or none.
    face_text = _edited(face, _text(face), {here: [stub.name]})
    _put(path, stub, force)
    _save(face, face_text)
    return path


def _put(path: Path, stub: Stub, force: bool) -> None:
    text = _text(path)
    if not text.strip():
        text = f'"""{stub.docstring}"""\n'
    source = _source(path, text)
    there = [n for n in source.tree.body if isinstance(n, ast.ClassDef) and n.name == stub.name]
    if there and not force:
        raise CommandError(
            f"{path}:{there[-1].lineno} has a class {stub.name} already: choose another name, or"
            " replace it with --force"
        )
    if not there and source.binds(stub.name):
        raise CommandError(f"{path} uses the name {stub.name} already: choose another one")
    code = stub.code.replace("\n", source.newline)
    if there:
        old = there[-1]
        first = min([old.lineno, *(decorator.lineno for decorator in old.decorator_list)])
        behind = text[source.after_line(old.end_lineno or old.lineno) :]
        text = text[: source.after_line(first - 1)] + code + behind
    else:
        text = f"{text.rstrip()}{source.newline * 3}{code}"
    text = _edited(path, text, stub.imports)
    try:
        # More than parsing: a parameter that is there twice is seen here.
        compile(text, path, "exec", dont_inherit=True)
    except SyntaxError as error:
        raise CommandError(f"{path} cannot be edited: {error}") from error
    _save(path, text)


def _edited(path: Path, text: str, imports: Mapping[str, list[str]]) -> str:
    ours = {config.name.partition(".")[0] for config in apps_of_the_project()}
    for module, names in imports.items():
        source = _source(path, text)
        try:
            add_import(source, module, names, ours)
            text = source.result()
        except NotUnderstood as error:
            raise CommandError(f"{path} cannot be edited: {error}") from error
    return text


def _source(path: Path, text: str) -> Source:
    try:
        return Source(text)
    except NotUnderstood as error:
        raise CommandError(f"{path} cannot be edited: {error}") from error


def _text(path: Path) -> str:
    """Return what is in the file, with its own line ends."""
    try:
        return path.read_bytes().decode() if path.is_file() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{path} cannot be read: {error}") from error


def _save(path: Path, text: str) -> None:
    try:
        path.write_bytes(text.encode())
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error}") from error


def _is_installed(path: Path) -> bool:
    places = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
    return any(path.is_relative_to(place) for place in places)


def _known(ours: list[AppConfig]) -> str:
    labels = ", ".join(config.label for config in ours)
    return f" Apps of this project: {labels}" if labels else ""
