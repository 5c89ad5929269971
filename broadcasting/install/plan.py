"""What is to be written, worked out before anything is: changes, and what is left to hands."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path

from broadcasting.install import code, settings
from broadcasting.install.project import File, Project, read
from broadcasting.install.source import NotUnderstood, Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A file to be written; ``before`` is None for a new one."""

    path: Path
    before: bytes | None
    after: bytes
    encoding: str = "utf-8"

    def diff(self, shown: str) -> Iterator[str]:
        """Yield the lines of a unified diff, without line ends."""
        yield from unified_diff(
            (self.before or b"").decode(self.encoding).splitlines(),
            self.after.decode(self.encoding).splitlines(),
            "/dev/null" if self.before is None else f"a/{shown}",
            f"b/{shown}",
            lineterm="",
        )

    def write(self) -> None:
        """Put the new content in the file's place, all or nothing.

        Raises OSError; FileExistsError if the file is no longer what was read.
        """
        # Through a link to the file itself, which keeps its place and its mode.
        path = Path(os.path.realpath(self.path))
        now = path.read_bytes() if path.exists() else None
        if now != self.before:
            raise FileExistsError(f"{self.path} has changed meanwhile")
        # Replacing a file asks its folder only; its owner may have meant what its mode says.
        if now is not None and not os.access(path, os.W_OK):
            raise PermissionError("it is not writable")
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(self.after)
            if self.before is None:
                Path(name).chmod(0o666 & ~_umask())
            elif _takes_the_place(path, name):
                shutil.copymode(path, name)
            else:
                # In a shared folder, another's file that we may write: it keeps its owner.
                Path(name).unlink()
                path.write_bytes(self.after)
                return
            Path(name).replace(path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                Path(name).unlink()
            raise


@dataclass(frozen=True, slots=True, kw_only=True)
class ByHand:
    """A file that is left alone: why, and what its owner has to write."""

    where: str
    why: str
    write: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that one run would do."""

    changes: list[Change]
    by_hand: list[ByHand]
    notes: list[str]


def make(project: Project) -> Plan:
    """Work out what ``project`` lacks. Writes nothing. Raises NoProject."""
    return _Planner(project).plan()


class _Planner:
    def __init__(self, project: Project) -> None:
        self.project = project
        self.changes: list[Change] = []
        self.by_hand: list[ByHand] = []
        self.notes: list[str] = []
        self.settings: list[Source] = []

    def plan(self) -> Plan:
        asgi = "asgi.application"
        try:
            files = self.project.settings_files()
            self.settings = [Source(file.text) for file in files]
            asgi = self.asgi_path()
            for file, text in settings.edit(files, asgi):
                self.change(file, text)
        except NotUnderstood as error:
            where = self.project.settings_module
            self.left(where, str(error), settings.by_hand(asgi))
        urls = self.setting("ROOT_URLCONF")
        self.module(urls, "ROOT_URLCONF", code.edit_urls, code.URLS_BY_HAND)
        self.asgi(asgi)
        self.channels(urls)
        return Plan(changes=self.changes, by_hand=self.by_hand, notes=self.notes)

    def setting(self, name: str) -> str | None:
        """Return a string of the settings, read from their text."""
        return next((text for source in self.settings if (text := source.text_of(name))), None)

    def package(self) -> str:
        """Return the dotted package of the project, "" for modules beside manage.py."""
        for name, depth in (("WSGI_APPLICATION", 2), ("ROOT_URLCONF", 1)):
            if text := self.setting(name):
                return ".".join(text.split(".")[:-depth])
        return self.project.settings_module.rpartition(".")[0]

    def asgi_path(self) -> str:
        if text := self.setting("ASGI_APPLICATION"):
            return text
        return ".".join(part for part in (self.package(), "asgi", "application") if part)

    def asgi(self, dotted: str) -> None:
        module, _, variable = dotted.rpartition(".")
        path = self.project.module(module)
        package = module.rpartition(".")[0]
        home = self.project.module(package) if package else None
        if path is None and home is not None:
            text = code.NEW_ASGI.format(settings=self.project.settings_module)
            target = home.parent / (module.rpartition(".")[2] + ".py")
            self.changes.append(Change(path=target, before=None, after=text.encode()))
            return
        self.module(
            module,
            "ASGI_APPLICATION",
            lambda file: code.edit_asgi(file, variable),
            code.ASGI_BY_HAND,
        )

    def module(
        self, dotted: str | None, setting: str, edit: Callable[[File], str], by_hand: str
    ) -> None:
        """Edit the module ``dotted``, which ``setting`` names, or leave it to its owner."""
        path = self.project.module(dotted) if dotted else None
        if path is None:
            found = f"the module {dotted!r} is not below here" if dotted else "it is not plain text"
            self.left(f"the module of {setting}", found, by_hand)
            return
        try:
            file = read(path)
            self.change(file, edit(file))
        except NotUnderstood as error:
            self.left(self.project.shown(path), str(error), by_hand)

    def channels(self, urls: str | None) -> None:
        """Begin a ``channels.py`` in the package of the root URLconf, if it has none."""
        if (self.project.folder / "channels.py").exists():
            self.left(
                "channels.py",
                "beside manage.py it hides Django Channels from every import",
                "Move it into an app, or into the package of your root URLconf.",
            )
        package = (urls or "").rpartition(".")[0]
        home = self.project.module(package) if package else None
        if home is None or home.name != "__init__.py":
            self.notes.append(
                "Rules for private channels go into the channels.py of one of your apps, never"
                " beside manage.py, where it would hide Django Channels."
            )
            return
        if self.project.module(f"{package}.channels") is None:
            path = home.parent / "channels.py"
            self.changes.append(Change(path=path, before=None, after=code.CHANNELS.encode()))

    def change(self, file: File, text: str) -> None:
        after = file.encode(text)
        if after != file.content:
            self.changes.append(
                Change(path=file.path, before=file.content, after=after, encoding=file.encoding)
            )

    def left(self, where: str, why: str, write: str) -> None:
        self.by_hand.append(ByHand(where=where, why=why, write=write))


def _takes_the_place(path: Path, name: str) -> bool:
    """Give the file ``name`` to whom ``path`` belongs; return whether that was possible.

    Root can, in a container for instance; everybody else only needs not.
    """
    if not hasattr(os, "chown"):
        return True
    owned, made = path.stat(), Path(name).stat()
    if (owned.st_uid, owned.st_gid) == (made.st_uid, made.st_gid):
        return True
    try:
        os.chown(name, owned.st_uid, owned.st_gid)
    except PermissionError:
        return False
    return True


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
