"""An earlier version and this one side by side, as they are while a site is deployed anew."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import live
from tests.conformance.peer import join
from tests.conformance.publishing import publish
from tests.conftest import Valkey, running_valkey
from tests.processes.conftest import Env, environment
from tests.processes.history import Earlier, build
from tests.processes.sites import dispatch, expect

pytestmark = pytest.mark.full

COMMIT = "de64902d17b24a968c87f0ed522459cbb2de796b"
"""The last one whose nodes knew nothing of one another."""


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Earlier:
    return build(COMMIT, tmp_path_factory.mktemp("earlier"))


@pytest.fixture(scope="module", params=["redis", "channel_layer"])
def env(request: pytest.FixtureRequest, shared_valkey: Valkey, live_database: Path) -> Env:
    return environment(shared_valkey, live_database, request.param, BROADCAST_QUEUE="celery")


@pytest.fixture(scope="module")
def shared_valkey() -> Iterator[Valkey]:
    yield from running_valkey()


@pytest.fixture(scope="module")
def old(env: Env, earlier: Earlier) -> Iterator[live.Server]:
    with live.serving("uvicorn", env | earlier.env) as server:
        yield server


@pytest.fixture(scope="module")
def new(env: Env) -> Iterator[live.Server]:
    with live.serving("uvicorn", env) as server:
        yield server


def test_it_really_is_an_earlier_version(earlier: Earlier) -> None:
    """Otherwise nothing here would prove anything."""
    assert not (earlier.package / "broadcasting/registry/redis.py").exists()
    said = live.run(earlier.env, "-c", "import broadcasting; print(broadcasting.__file__)")
    assert str(earlier.package) in said.stdout, said.stderr


async def test_what_either_publishes_reaches_the_sockets_of_both(
    old: live.Server, new: live.Server, channel: str
) -> None:
    async with join(old) as one, join(new) as two:
        for peer in (one, two):
            await peer.subscribe(channel)
        for number, server in enumerate((old, new, old, new)):
            await publish(server, channel, "news", str(number))
            for peer in (one, two):
                assert await peer.expect("news", channel) == str(number)


@pytest.mark.parametrize("worker_is_new", [False, True])
async def test_either_does_the_jobs_of_the_other(
    env: Env,
    earlier: Earlier,
    old: live.Server,
    new: live.Server,
    channel: str,
    worker_is_new: bool,
) -> None:
    versions = (earlier.env, {}) if worker_is_new else ({}, earlier.env)
    apart = env | {"CELERY_BROKER_URL": f"{env['CELERY_BROKER_URL']}?virtual_host=5"}
    async with join(old) as one, join(new) as two:
        for peer in (one, two):
            await peer.subscribe(channel)
        with (
            live.serving("wsgi", apart | versions[0]) as site,
            live.working(apart | versions[1], "--pool", "solo"),
        ):
            for number in range(3):
                await dispatch(site, channel, number)
            await expect(one, channel, 0, 1, 2)
            await expect(two, channel, 0, 1, 2)


async def test_presence_of_the_new_does_not_disturb_the_old(
    old: live.Server, new: live.Server
) -> None:
    """The older node knows its own members, as before, and goes on."""
    room = "presence-mixed"
    async with join(old) as one, join(new) as two:
        await one.enter(room, "one")
        await two.enter(room, "two")
        await publish(new, room, "news")
        assert await one.expect("news", room) == "{}"
        assert await two.expect("news", room) == "{}"


def say(env: Env, channel: str, envelope: str) -> None:
    """Publish ``envelope``, as it is, where those of ``channel`` are expected."""
    code = f"""
from broadcasting.backplanes import get_backplane
from broadcasting.backplanes import channel_layer, redis
for module in (channel_layer, redis):
    module.encode = lambda envelope: {envelope!r}
from broadcasting.backplanes import Envelope
get_backplane().publish(Envelope(app_id="app", channel={channel!r}, frame=""))
"""
    done = live.run(env, "-m", "django", "shell", "--no-imports", "-c", code)
    assert done.returncode == 0, done.stderr


async def test_a_version_to_come_is_told_in_the_log_and_harms_nobody(
    env: Env, old: live.Server, new: live.Server, channel: str
) -> None:
    strange = {"v": 99, "app_id": "app", "channel": channel, "frame": "?", "kind": "event"}
    async with join(old) as one, join(new) as two:
        for peer in (one, two):
            await peer.subscribe(channel)
        await asyncio.to_thread(say, env, channel, json.dumps(strange))
        for server in (old, new):
            await asyncio.to_thread(live.wait_for_line, server.log, "version 99")
        await publish(new, channel, "news")
        for peer in (one, two):
            assert await peer.expect("news", channel) == "{}"


async def test_nothing_is_lost_while_one_replaces_the_other(
    env: Env, earlier: Earlier, new: live.Server, channel: str
) -> None:
    """A socket of the node that stays has every event once, in order, while the other ends."""
    leaving = live.Server("uvicorn", live.free_port(), env | earlier.env)
    leaving.start()
    async with join(new) as stays, join(leaving) as goes:
        for peer in (stays, goes):
            await peer.subscribe(channel)
        for number in range(50):
            await publish(new, channel, "news", str(number))
        # The earlier one says goodbye at once, whatever it has not read yet.
        for number in range(50):
            assert await goes.expect("news", channel) == str(number)
        ending = asyncio.create_task(asyncio.to_thread(leaving.stop))
        for number in range(50, 100):
            await publish(new, channel, "news", str(number))
        for number in range(100):
            assert await stays.expect("news", channel) == str(number)
        assert await ending == 0
        had = 50
        while (message := await goes.receive())["event"] == "news":
            assert message["data"] == str(had)
            had += 1
        assert message["event"] == "pusher:error"
        assert (await goes.closed())[0] == 4200
