"""Which server the options mean, and whose envelopes those are."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.test import override_settings

from broadcasting.backplanes.envelope import Envelope
from broadcasting.backplanes.redis import RedisBackplane
from broadcasting.checks.families import check_families
from broadcasting.redis_clients import RedisClients, server_of
from broadcasting.registry.redis import RedisRegistry
from broadcasting.sites import lasting_name, site_names
from tests.backplanes.contract import Inbox, check_both_colours
from tests.conftest import Valkey

SENTINELS = [("localhost", 26379)]
SECRET = "geheim"


def client_of(redis: Any, **limits: Any) -> Any:
    """What the tests name as a factory."""
    return redis.Redis(host="localhost", **limits)


def of_sentinels(redis: Any, **limits: Any) -> Any:
    return redis.Sentinel(SENTINELS, sentinel_kwargs=limits, **limits).master_for("mymaster")


def without_limits(redis: Any, **limits: Any) -> Any:
    return redis.Redis(host="localhost")


def no_cluster(redis: Any, cluster_error_retry_attempts: int = 0, **limits: Any) -> Any:
    return redis.Redis(host="localhost", **limits)


def nothing(redis: Any, **limits: Any) -> None:
    """No client at all."""


HERE = "tests.backplanes.test_redis_options"

WRONG = [
    ({}, "['url'] must be the URL"),
    ({"url": "redis://localhost", "cluster": "yes"}, "['cluster'] must be True or False"),
    ({"url": "unix:///tmp/s", "cluster": True}, "unix socket"),
    ({"nodes": SENTINELS, "url": "redis://localhost"}, "add 'cluster': True"),
    ({"nodes": SENTINELS, "url": "redis://localhost", "cluster": True}, "or 'nodes'"),
    ({"nodes": ["localhost"], "cluster": True}, "['nodes'] must be a list of addresses"),
    ({"nodes": [], "cluster": True}, "['nodes'] must be a list of addresses"),
    ({"sentinels": SENTINELS}, "'sentinels' and 'service' belong together"),
    ({"url": "redis://localhost", "service": "x"}, "'sentinels' and 'service' belong together"),
    ({"sentinels": [("localhost", "1")], "service": "x"}, "['sentinels'] must be a list"),
    ({"sentinels": SENTINELS, "service": ""}, "['service'] must be the name"),
    ({"sentinels": SENTINELS, "service": "x", "cluster": True}, "a Cluster has no 'sentinels'"),
    ({"sentinels": SENTINELS, "service": "x", "url": "redis://h"}, "['url']: the Sentinels say"),
    ({"url": "redis://localhost", "password": 5}, "['password'] must be text"),
    ({"url": "redis://localhost", "connection": [1]}, "['connection'] must be a dict"),
    ({"url": "redis://localhost", "connection": {"no_such": 1}}, "no_such"),
    ({"url": "redis://localhost", "prefix": ""}, "['prefix'] must be text"),
    ({"url": "redis://localhost", "prefix": "{a}"}, "['prefix'] must be text, without braces"),
    ({"factory": f"{HERE}.no_such"}, "['factory']"),
    ({"factory": 5}, "['factory'] must be callable"),
    ({"factory": client_of, "url": "redis://localhost"}, "without url"),
    ({"factory": no_cluster, "cluster": True}, "must return a redis.asyncio.RedisCluster"),
    ({"factory": nothing}, "must return a redis.asyncio.Redis, not a NoneType"),
    ({"factory": without_limits}, "must hand the keyword arguments"),
]


@pytest.mark.parametrize(("options", "said"), WRONG)
def test_what_is_wrong_is_a_check_that_says_where(options: dict[str, Any], said: str) -> None:
    entry = {"BACKEND": "redis", "OPTIONS": options}
    with override_settings(BROADCASTING={"BACKPLANE": entry}):
        problems = [m.msg for m in check_families() if m.id == "broadcasting.E002"]
    # The registry, which takes the same server, may say so as well.
    [problem] = [m for m in problems if m.startswith("BROADCASTING['BACKPLANE']['OPTIONS']")]
    assert said in problem


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ({"url": f"redis://u:{SECRET}@h:1/2"}, "Redis at h:1/2"),
        ({"url": "rediss://h", "connection": {"ssl_ca_certs": "/ca"}}, "Redis at h"),
        (
            {"sentinels": [("a", 1), ("b", 2)], "service": "mine", "password": SECRET},
            "Redis 'mine' of the Sentinels at a:1, b:2",
        ),
        (
            {
                "sentinels": SENTINELS,
                "service": "mine",
                "connection": {"db": 1, "ssl": True},
                "sentinel_connection": {"password": SECRET},
            },
            "Redis 'mine' of the Sentinels at localhost:26379",
        ),
        ({"url": f"redis://:{SECRET}@h:1", "cluster": True}, "Redis Cluster at h:1"),
        (
            {"nodes": [("a", 1)], "cluster": True, "connection": {"ssl": True}},
            "Redis Cluster at a:1",
        ),
        ({"factory": f"{HERE}.client_of"}, f"Redis of {HERE}.client_of"),
        ({"factory": of_sentinels}, "Redis of of_sentinels"),
    ],
)
async def test_a_place_is_told_without_a_secret(options: dict[str, Any], place: str) -> None:
    backplane = RedisBackplane(options)
    assert backplane.place == place
    assert SECRET not in repr(backplane.server)


async def test_a_factory_makes_what_publishes_and_what_hears(valkey: Valkey) -> None:
    def client(redis: Any, **limits: Any) -> Any:
        return redis.Redis(unix_socket_path=str(valkey.path), **limits)

    await check_both_colours(RedisBackplane({"factory": client, "prefix": "factory"}))


async def test_clients_of_any_kind_are_lent_to_others(valkey: Valkey) -> None:
    """As to the registry: a script, in either colour."""
    clients = RedisClients(server_of({"url": valkey.url}, "here"), timeout=5)
    assert clients.client.eval("return KEYS[1]", 1, "a") == b"a"
    async with clients.lend() as client:
        assert await client.eval("return KEYS[1]", 1, "b") == b"b"
    await clients.aclose()
    clients.close()


def keys(new: str, *old: str) -> override_settings:
    return override_settings(SECRET_KEY=new, SECRET_KEY_FALLBACKS=list(old))


def made(valkey: Valkey, **options: Any) -> RedisBackplane:
    return RedisBackplane({"url": valkey.url, **options})


async def heard(by: RedisBackplane, *publishers: RedisBackplane) -> list[str]:
    """Return the numbers of ``publishers`` that a node of ``by`` hears, in either colour."""
    inbox = Inbox()
    node = by.connect(inbox)
    await node.join("app", "c")
    for number, publisher in enumerate(publishers):
        envelope = Envelope(app_id="app", channel="c", frame=str(number))
        await asyncio.to_thread(publisher.publish, envelope)
        await publisher.apublish(envelope)
    await by.apublish(Envelope(app_id="app", channel="c", frame="end"))
    frames = []
    while (got := await inbox.next()).frame != "end":
        frames.append(got.frame)
        assert got.sites == ()
    await node.close()
    for publisher in publishers:  # some were nodes of this loop
        await publisher.release()
    return frames


async def test_sites_that_named_no_prefix_never_meet_and_are_told(
    valkey: Valkey, caplog: pytest.LogCaptureFixture
) -> None:
    with keys("mine"):
        mine = made(valkey)
    with keys("theirs"):
        theirs = made(valkey)
    assert await heard(mine, theirs, mine, theirs) == ["1", "1"]
    assert mine.foreign == 4
    assert caplog.text.count("dropped what another site published") == 1
    assert site_names()[0] not in caplog.text


async def test_a_key_that_is_rotated_splits_no_site(valkey: Valkey) -> None:
    with keys("old"):
        before = made(valkey)
    with keys("new", "old"):
        during = made(valkey)
    with keys("new"):
        after = made(valkey)
    assert await heard(before, during) == ["0", "0"]
    assert await heard(during, before, after) == ["0", "0", "1", "1"]
    assert await heard(after, during, before) == ["0", "0"]


async def test_a_version_that_told_no_site_is_heard_and_hears(valkey: Valkey) -> None:
    """As during a rolling upgrade: its prefix was this one, and its envelopes say nothing."""
    now, former = made(valkey), made(valkey, prefix="broadcasting")
    assert await heard(now, former) == ["0", "0"]
    envelope = Envelope(app_id="app", channel="c", frame="x", sites=("f00",))
    assert former.ours(envelope) is None


def test_names_tell_no_key_and_last_as_long_as_the_oldest_one() -> None:
    with keys("a"):
        [old] = site_names()
        assert lasting_name() == old
    with keys("b", "a"):
        assert lasting_name() == old
        assert len(set(site_names())) == 2
    assert len(old) == 10


def test_registries_of_two_sites_on_one_server_share_no_key() -> None:
    prefixes = []
    for key in ("mine", "theirs"):
        with keys(key):
            prefixes.append(RedisRegistry({"url": "redis://localhost"}).options.prefix)
    with keys("new", "mine"):
        prefixes.append(RedisRegistry({"url": "redis://localhost"}).options.prefix)
    assert prefixes[0] == prefixes[2] != prefixes[1]
