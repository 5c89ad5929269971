"""Bare projects to install into, and the command as its user sees it."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from django.core.management import call_command

from broadcasting.install import terminal


@dataclass
class Bare:
    """A project on disk."""

    folder: Path
    package: str
    asked: list[str] = field(default_factory=list)

    def path(self, name: str) -> Path:
        return self.folder / self.package / name

    def read(self, name: str) -> str:
        with self.path(name).open(encoding="utf-8", newline="") as file:
            return file.read()

    def write(self, name: str, text: str) -> None:
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())

    def replace(self, name: str, old: str, new: str) -> None:
        text = self.read(name)
        assert old in text
        self.write(name, text.replace(old, new))

    def texts(self) -> dict[str, bytes]:
        """Return every file, to see whether any was touched."""
        return {str(path): path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}

    def install(
        self, *, answer: str | None = None, **options: bool | str | None
    ) -> tuple[int, str]:
        """Run the command; ``answer`` is a person's, without one nobody is there to ask."""

        def ask(question: str) -> str:
            self.asked.append(question)
            return answer or ""

        out = io.StringIO()
        status = terminal.run(
            self.folder,
            terminal.Options(**options),  # type: ignore[arg-type]
            terminal.Terminal(out, {}, color=True, ask=None if answer is None else ask),
        )
        return status, out.getvalue()


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bare:
    """``django-admin startproject mysite``."""
    return _start(tmp_path, monkeypatch, "mysite")


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Bare]:
    """Start a project of the name asked for, in the folder itself: ``startproject config .``."""
    return lambda name: _start(tmp_path, monkeypatch, name)


def _start(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> Bare:
    # The suite's own settings are not those of the project.
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE", raising=False)
    call_command("startproject", name, str(folder))
    return Bare(folder, name)
