"""The sockets that a server listens on: a port, a path, or what its supervisor hands it.

They are bound before anything runs, so that what cannot be had is an error of one line.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

_OUT_OF_FILES = (errno.EMFILE, errno.ENFILE)
_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


class CannotListen(Exception):
    """A socket or a certificate cannot be had; the message says which, why, and what to do."""


class Listener(socket.socket):
    """A listening socket that turns connections away when no file is left for them.

    libuv does that by itself. asyncio tries as often as the backlog is long, with a line in
    the log and a timer each.
    """

    _spare: int | None = None
    """A file that can be closed, to have one when there is none."""

    def keep_spare(self) -> Listener:
        """Be ready for the day when no file is left; return the socket itself."""
        self.setblocking(False)
        self._spare = os.open(os.devnull, os.O_RDONLY)
        return self

    def accept(self) -> tuple[socket.socket, Any]:
        """See socket.accept(). With no file left, as if nobody was waiting."""
        try:
            return super().accept()
        except OSError as problem:
            if problem.errno not in _OUT_OF_FILES or self._spare is None:
                raise
            self._turn_all_away()
            raise BlockingIOError from problem

    def close(self) -> None:
        """See socket.close()."""
        super().close()
        self._drop_spare()

    def _turn_all_away(self) -> None:
        self._drop_spare()
        with contextlib.suppress(OSError):  # nobody waits any more
            while True:
                super().accept()[0].close()
        with contextlib.suppress(OSError):  # somebody else was faster
            self._spare = os.open(os.devnull, os.O_RDONLY)

    def _drop_spare(self) -> None:
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None


@dataclass(slots=True, kw_only=True)
class Listening:
    """Bound sockets, and what to call them."""

    sockets: list[Listener]
    where: str
    """For people: a URL without its scheme, or words that are complete."""

    is_url: bool = True
    path: str | None = None
    """The file of a unix socket that is ours to remove."""

    is_lendable: bool = False
    """Whether others share the port, and get what comes while these sockets are closed."""

    _inode: tuple[int, int] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if self.path is not None:
            self._inode = _inode(self.path)

    def named(self, scheme: str) -> str:
        """Return where it is, for people."""
        return f"{scheme}://{self.where}" if self.is_url else self.where

    def leave(self) -> None:
        """Take the file of a unix socket away, unless another server has put its own there."""
        if self.path is not None and self._inode == _inode(self.path):
            os.unlink(self.path)
        self.path = None

    @contextlib.contextmanager
    def lent(self) -> Iterator[None]:
        """Leave what comes meanwhile to those who share the port. Raises CannotListen."""
        if not self.is_lendable:
            yield
            return
        places = [(sock.family, sock.getsockname()) for sock in self.sockets]
        self.close()
        yield
        try:
            self.sockets = [_bound(*place, share=True) for place in places]
        except OSError as problem:
            raise CannotListen(f"Cannot listen on {self.where}: {_why(problem)}.") from problem

    def close(self) -> None:
        """Give everything back."""
        self.leave()
        self.close_sockets()

    def close_sockets(self) -> None:
        """Give back what is listened on, not a file: others may hold the same sockets."""
        for sock in self.sockets:
            sock.close()


def on_port(host: str, port: int) -> Listening:
    """Bind every address that ``host`` stands for; raise CannotListen."""
    shown = f"[{host}]" if ":" in host else host
    if not 0 <= port <= 65_535:  # some systems take what is left of it in 16 bits
        raise CannotListen(f"Cannot listen on {shown}:{port}: ports end at 65535.")
    sockets: list[Listener] = []
    try:
        with contextlib.ExitStack() as undo:
            for family, address in _addresses(host, port):
                with _unless_not_here():
                    sockets.append(_bound(family, address))
                    undo.callback(sockets[-1].close)
            if not sockets:
                raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
            undo.pop_all()
    except (OSError, UnicodeError) as problem:  # of a part that no name can have
        more = " Stop what listens there, or choose another --port." if _taken(problem) else ""
        raise CannotListen(f"Cannot listen on {shown}:{port}: {_why(problem)}.{more}") from problem
    return Listening(sockets=sockets, where=f"{shown}:{sockets[0].getsockname()[1]}")


def on_shared_port(host: str, port: int, times: int) -> list[Listening]:
    """Bind a port so often that each of several processes has sockets of its own there.

    The system deals connections out among them evenly, which it does not where many wait at
    one socket. Only Linux does so; elsewhere all have the same. Raises CannotListen.
    """
    first = on_port(host, port)
    if sys.platform != "linux":
        return [first] * times
    # Another server of ours would share as well, and nobody would notice: so not at first.
    places = [(sock.family, sock.getsockname()) for sock in first.sockets]
    first.close()
    bound: list[Listening] = []
    try:
        for _ in range(times):
            sockets = [_bound(*place, share=True) for place in places]
            bound.append(Listening(sockets=sockets, where=first.where, is_lendable=True))
    except OSError as problem:
        for listening in bound:
            listening.close()
        raise CannotListen(f"Cannot listen on {first.where}: {_why(problem)}.") from problem
    return bound


def at_path(path: str) -> Listening:
    """Bind the unix socket ``path``, in place of what a dead server left; raise CannotListen.

    Whoever may reach its directory may connect, unless what was there said otherwise.
    """
    if not hasattr(socket, "AF_UNIX"):
        raise CannotListen("This system has no unix sockets: use --host and --port.")
    try:
        mode = _make_room(path)
        sock = Listener(socket.AF_UNIX, socket.SOCK_STREAM)
        with contextlib.ExitStack() as undo:
            undo.callback(sock.close)
            sock.bind(path)
            os.chmod(path, mode)
            undo.pop_all()
    except OSError as problem:
        raise CannotListen(f"Cannot listen on {path}: {_why(problem)}.") from problem
    where = f"the unix socket {path}"
    return Listening(sockets=[sock.keep_spare()], where=where, is_url=False, path=path)


def handed(fd: int) -> Listening:
    """Take the listening socket that is file descriptor ``fd``; raise CannotListen."""
    try:
        sock = Listener(fileno=fd)
    except (OSError, OverflowError, ValueError) as problem:
        raise CannotListen(f"File descriptor {fd} is no socket: {_why(problem)}.") from problem
    if sock.type != socket.SOCK_STREAM or not _listens(sock):
        sock.detach()
        raise CannotListen(
            f"File descriptor {fd} is no listening socket: whoever passes it must listen first."
        )
    name = sock.getsockname()
    local = not isinstance(name, tuple)
    if local:
        # One without a file begins with a zero, and is written with an @ as everywhere.
        where = f"the unix socket {os.fsdecode(name).replace(chr(0), '@')}"
    else:
        where = f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"
    return Listening(sockets=[sock.keep_spare()], where=where, is_url=not local)


def _addresses(host: str, port: int) -> list[tuple[int, Any]]:
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    # A host may stand in a file of hosts twice.
    return list(dict.fromkeys((family, address) for family, _, _, _, address in found))


def _bound(family: int, address: Any, *, share: bool = False) -> Listener:
    sock = Listener(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":  # elsewhere it would share the port with whoever has it
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if share:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
    except BaseException:
        sock.close()
        raise
    return sock.keep_spare()


@contextlib.contextmanager
def _unless_not_here() -> Iterator[None]:
    """Pass over an address that this machine does not have: "localhost" without IPv6."""
    try:
        yield
    except OSError as problem:
        if problem.errno not in _NOT_HERE:
            raise


def _make_room(path: str) -> int:
    """Remove a socket that nobody listens on; return the permissions for the one to come."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return 0o666
    if not stat.S_ISSOCK(mode):
        raise FileExistsError(errno.EEXIST, "something that is no socket is there")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        caller.setblocking(False)
        try:
            caller.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return stat.S_IMODE(mode)
        except BlockingIOError:  # it has more to do than it can
            pass
    raise OSError(errno.EADDRINUSE, "another process listens there")


def _listens(sock: socket.socket) -> bool:
    try:
        return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError:  # not every system can tell; listening itself will
        return True


def _inode(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _taken(problem: Exception) -> bool:
    return isinstance(problem, OSError) and problem.errno == errno.EADDRINUSE


def _why(problem: Exception) -> str:
    text = problem.strerror if isinstance(problem, OSError) else None
    return (text or str(problem)).rstrip(".")
