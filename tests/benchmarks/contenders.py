"""The servers that are measured, and how each is started.

Knows their command lines and what they need; starting, stopping and measuring is done elsewhere.
All serve the application ``app`` with the key ``app-key`` and the secret ``app-secret``.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PEERS = HERE / "peers"


class Unavailable(Exception):
    """This machine cannot run the contender; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """What the load signs with."""

    id: str = "app"
    key: str = "app-key"
    secret: str = "app-secret"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A server to measure: a command that starts it, or the address of one that runs."""

    command: tuple[str, ...] = ()
    """In its words, ``{port}`` and ``{spare}`` stand for ports that nobody uses."""

    env: Mapping[str, str] = field(default_factory=dict)
    """Added to the environment, with ports put in as in the command."""

    address: tuple[str, int] | None = None
    """Where it runs already, if it does."""

    pid: int | None = None
    """Of the one that runs already, if its process can be seen from here."""

    application: Application = Application()


UVICORN = "broadcasting on uvicorn"
DAPHNE = "broadcasting on Daphne"
SOKETI = "soketi 1.6.1"
SOKETI_ALIVE = "soketi 1.6.1, kept alive"
LIMIT = "uws-limit"
PLAIN_UVICORN = "plain Channels on uvicorn"
PLAIN_DAPHNE = "plain Channels on Daphne"

PYTHON = (sys.executable, "-m")
PLAIN = "tests.benchmarks.plain_channels:application"
OURS = {"DJANGO_SETTINGS_MODULE": "tests.benchmarks.ours"}

SOKETI_SETTINGS = {
    "HOST": "127.0.0.1",
    "PORT": "{port}",
    "METRICS_HOST": "127.0.0.1",
    "METRICS_SERVER_PORT": "{spare}",
    # It looks for other nodes whatever its adapter is; not beyond this machine.
    "CLUSTER_HOST": "127.0.0.1",
    "CLUSTER_PORT": "{spare}",
    "CLUSTER_UNICAST_ADDRESSES": "127.0.0.1",
    "DEFAULT_APP_ID": "app",
    "DEFAULT_APP_KEY": "app-key",
    "DEFAULT_APP_SECRET": "app-secret",
    "PRESENCE_MAX_MEMBERS": "100000",
}


def soketi(**more: str) -> Contender:
    """Return soketi; ``more`` goes into its environment. Raises Unavailable."""
    node = need_peers()
    env = {f"SOKETI_{name}": value for name, value in SOKETI_SETTINGS.items()}
    config = f"--config={PEERS / 'config.json'}"
    return Contender(command=(node, str(PEERS / "soketi.js"), "start", config), env=env | more)


def uws_limit() -> Contender:
    """Return the upper bound, see peers/uws_limit.js. Raises Unavailable."""
    return Contender(command=(need_peers(), str(PEERS / "uws_limit.js"), "{port}"))


def websockets_serve() -> Contender:
    """Return our own command."""
    words = ("django", "websockets_serve", "--log-level", "warning", "--port", "{port}")
    return Contender(command=(*PYTHON, *words), env=OURS)


def on_uvicorn() -> Contender:
    """Return plain Channels under uvicorn as people run it."""
    words = ("uvicorn", PLAIN, "--log-level=warning", "--no-access-log", "--port", "{port}")
    return Contender(command=(*PYTHON, *words))


def on_daphne(application: str, env: Mapping[str, str]) -> Contender:
    """Return an application under Daphne, which writes no log."""
    return Contender(command=(*PYTHON, "daphne", application, "-v", "0", "-p", "{port}"), env=env)


CONTENDERS: Mapping[str, Callable[[], Contender]] = {
    UVICORN: websockets_serve,
    DAPHNE: lambda: on_daphne("broadcasting.asgi:application", OURS),
    SOKETI: soketi,
    SOKETI_ALIVE: lambda: soketi(KEEP_ALIVE="1"),
    LIMIT: uws_limit,
    PLAIN_UVICORN: on_uvicorn,
    PLAIN_DAPHNE: lambda: on_daphne(PLAIN, {}),
}


def find(
    names: Iterable[str], more: Mapping[str, Contender]
) -> tuple[dict[str, Contender], dict[str, str]]:
    """Return the contenders by name, and for each that cannot run here the reason."""
    found: dict[str, Contender] = {}
    missing: dict[str, str] = {}
    for name in names:
        try:
            found[name] = more[name] if name in more else CONTENDERS[name]()
        except Unavailable as reason:
            missing[name] = str(reason)
    return found, missing


def need_peers() -> str:
    """Return node's path once the servers from npm are installed. Raises Unavailable."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise Unavailable("it needs node 16 to 20 and npm, which are not here")
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    if not 16 <= int(said[1:].partition(".")[0]) <= 20:
        raise Unavailable(f"it needs node 16 to 20, this one is {said.strip()}")
    wanted = json.loads((PEERS / "package.json").read_text())["dependencies"]
    if any(not (PEERS / "node_modules" / name / "package.json").is_file() for name in wanted):
        quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock")
        print("fetching soketi and uWebSockets.js with npm", file=sys.stderr)
        command = [npm, "install", *quiet, "--loglevel=error"]
        done = subprocess.run(command, cwd=PEERS, capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no reason given"])[0]
            raise Unavailable(f"npm could not fetch it ({last})")
    return node


def peer_versions() -> dict[str, str]:
    """Return the versions of what npm has installed."""
    versions: dict[str, str] = {}
    for name in ("@soketi/soketi", "uWebSockets.js"):
        file = PEERS / "node_modules" / name / "package.json"
        if file.is_file():
            package: dict[str, Any] = json.loads(file.read_text())
            versions[name] = package["version"]
    return versions
