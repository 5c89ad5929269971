"""A PostgreSQL server of the test session's own, on a unix socket in a folder of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PLACES = "/usr/lib/postgresql"


def program(name: str) -> Path | None:
    """Return where a program of PostgreSQL's is, which Debian puts outside the PATH."""
    versions = sorted(Path(PLACES).glob(f"*/bin/{name}"), key=lambda path: path.parts[-3])
    found = shutil.which(name)
    return versions[-1] if versions else Path(found) if found else None


def running() -> Iterator[str]:
    """Yield the folder of its socket; stopped and removed afterwards."""
    initdb, server = program("initdb"), program("pg_ctl")
    if initdb is None or server is None:
        raise LookupError("PostgreSQL is not installed")
    with tempfile.TemporaryDirectory(prefix="pg") as folder:
        who: dict[str, Any] = {}
        if os.getuid() == 0:
            # It refuses to run as root.
            user = pwd.getpwnam("postgres")
            who = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
            os.chown(folder, user.pw_uid, user.pw_gid)
        data = f"{folder}/data"

        def call(*command: str | Path) -> None:
            subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL, **who)

        call(initdb, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
        options = f"-k {folder} -h '' -c fsync=off"
        call(server, "-D", data, "-w", "-l", f"{folder}/log", "-o", options, "start")
        try:
            yield folder
        finally:
            call(server, "-D", data, "-w", "-m", "immediate", "stop")
