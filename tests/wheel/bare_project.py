"""From a built wheel to a live project: what a new user does, done by a machine.

::

    python tests/wheel/bare_project.py dist/django_broadcasting-0.1.0-py3-none-any.whl

Standard library only. Installs the wheel into a fresh virtual environment, starts a bare
project, installs into it twice, serves it, presses the button of the welcome page and
waits for the event on a socket; then lets the doctor look at it. With ``--here`` it uses
the interpreter that runs it, and whatever ``broadcasting`` that one has.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

PATIENCE = 60.0
"""Seconds for a server to come up or an event to arrive, on a machine that is busy."""

# Run by the interpreter under test: it has the websockets library, this one need not.
PRESS = """
import http.cookiejar, json, re, socket, sys, urllib.parse, urllib.request
from websockets.sync.client import connect

port = sys.argv[1]
site = f"http://127.0.0.1:{port}"
opener = urllib.request.build_opener(
    urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor()
)
page = opener.open(f"{site}/broadcasting/welcome/", timeout=30).read().decode()
channel = re.search(r'data-channel="([^"]+)"', page)[1]
fields = dict(re.findall(r'<input type="hidden" name="(\\w+)" value="([^"]*)"', page))
config = json.loads(re.search(r'id="broadcasting-config"[^>]*>(.*?)</script>', page, re.S)[1])
for path in re.findall(r'(?:src|href)="(/[^"]+\\.(?:js|css|svg))"', page):
    assert opener.open(site + path, timeout=30).status == 200, path

url = f"ws://127.0.0.1:{port}/app/{config['key']}?protocol=7"
with connect(url, sock=socket.create_connection(("127.0.0.1", port), 30), origin=site) as ws:
    assert json.loads(ws.recv(timeout=30))["event"] == "pusher:connection_established"
    ws.send(json.dumps({"event": "pusher:subscribe", "data": {"channel": channel}}))
    answer = json.loads(ws.recv(timeout=30))
    assert answer["event"] == "pusher_internal:subscription_succeeded", answer
    body = urllib.parse.urlencode({**fields, "press": "1"}).encode()
    answer = opener.open(f"{site}/broadcasting/welcome/send", body, timeout=30)
    assert answer.status == 200, answer.status
    frame = json.loads(ws.recv(timeout=30))
    assert frame["event"] == "broadcasting.welcome", frame
    assert json.loads(frame["data"])["press"] == "1", frame
print("pressed the button, and the event arrived")
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do it all; return 0, or raise at the first thing that is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("wheel", nargs="?", type=Path, help="the built wheel")
    what.add_argument("--here", action="store_true", help="use this very interpreter")
    options = parser.parse_args(arguments)
    if not options.here:
        # What is on it would stand in front of what is in the wheel.
        os.environ.pop("PYTHONPATH", None)
    with tempfile.TemporaryDirectory(prefix="bare") as name:
        folder = Path(name).resolve()
        python = Path(sys.executable) if options.here else environment(folder, options.wheel)
        project = folder / "site"
        project.mkdir()
        make_live(python, project)
        with serving(python, project) as port:
            print(run([python, "-c", PRESS, str(port)], project), end="")
            doctor: list[str | Path] = [
                python,
                "manage.py",
                "broadcasting_doctor",
                "--url",
                f"ws://127.0.0.1:{port}",
            ]
            print(run(doctor, project), end="")
    print("a bare project went live")
    return 0


def environment(folder: Path, wheel: Path) -> Path:
    """Return the interpreter of a fresh virtual environment that holds the wheel."""
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    python = folder / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    pip: list[str | Path] = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]
    subprocess.run([*pip, str(wheel.resolve())], check=True)
    return python


def make_live(python: Path, project: Path) -> None:
    """Start a project in ``project`` and install into it; the second time changes nothing."""
    run([python, "-m", "django", "startproject", "mysite", "."], project)
    run([python, "-m", "broadcasting", "install", "--dry-run"], project)
    assert "broadcasting" not in (project / "mysite" / "settings.py").read_text(encoding="utf-8")
    first = run([python, "-m", "broadcasting", "install", "--no-input"], project)
    assert "mysite/settings.py written" in first, first
    files = {path: path.read_bytes() for path in project.rglob("*.py")}
    second = run([python, "-m", "broadcasting", "install", "--no-input"], project)
    assert "nothing to do" in second, second
    third = run([python, "manage.py", "broadcasting_install", "--no-input"], project)
    assert "nothing to do" in third, third
    assert files == {path: path.read_bytes() for path in project.rglob("*.py")}
    print(run([python, "manage.py", "check", "--fail-level", "WARNING"], project), end="")
    run([python, "manage.py", "migrate", "--verbosity", "0"], project)


@contextlib.contextmanager
def serving(python: Path, project: Path) -> Iterator[int]:
    """Run ``runserver`` on a free port; show its output if anything inside fails."""
    port = free_port()
    log = project / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [python, "-u", "manage.py", "runserver", "--noreload", f"127.0.0.1:{port}"],
            cwd=project,
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for(port, process)
        yield port
    except BaseException:
        sys.stderr.write(re.sub(r"(?m)^", "server: ", log.read_text(errors="replace")))
        raise
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Return once ``port`` takes connections."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)  # nothing announces an open port
    raise AssertionError("the server did not come up")


def free_port() -> int:
    """Return a port of this machine that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run(command: Sequence[str | Path], folder: Path) -> str:
    """Run a command to its good end and return what it printed."""
    result = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )
    if result.returncode:
        shown = " ".join(str(word) for word in command)[:200]
        raise AssertionError(f"{shown} ended with {result.returncode}:\n{result.stdout}")
    return result.stdout


def clean_environment() -> dict[str, str]:
    """Return the environment without the settings of whoever runs this."""
    return {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}


if __name__ == "__main__":
    sys.exit(main())
