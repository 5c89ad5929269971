"""``websockets_serve`` with options, as a process that is told how and where to listen."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from tests import live

BARE = {"DJANGO_SETTINGS_MODULE": "tests.server.bare_settings"}
SERVE = [sys.executable, "-m", "django", "websockets_serve"]


@contextlib.contextmanager
def serving(
    log: Path,
    *options: object,
    loop: str = "uvloop",
    hand: socket.socket | None = None,
    files: int | None = None,
    soft_files: int | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """The server's process, with a socket that it is handed, or only so many ``files``.

    ``soft_files``: what it may open before it asks for more.
    """
    command = [*SERVE, *map(str, options)]
    if hand is not None:
        os.set_inheritable(hand.fileno(), True)
        command += ["--fd", str(hand.fileno())]
    if files is not None:
        command = ["sh", "-c", f'ulimit -n {files}; exec "$@"', "sh", *command]
    if soft_files is not None:
        command = ["sh", "-c", f'ulimit -S -n {soft_files}; exec "$@"', "sh", *command]
    process = live.spawn(command, BARE | {"BARE_LOOP": loop}, log, close_fds=hand is None)
    try:
        live.wait_for_line(log, "Stop with Control-C.", process)
        yield process
    finally:
        live.stop(process, signal.SIGKILL)


def refused(*options: object) -> str:
    """What the server says when it does not start; in this process, which is faster."""
    with pytest.raises(CommandError) as stopped:
        call_command("websockets_serve", *map(str, options))
    return str(stopped.value)
