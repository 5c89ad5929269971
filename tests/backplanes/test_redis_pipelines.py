"""What leaves together where many ask a server of one loop at once."""

from __future__ import annotations

import asyncio

import pytest
from redis.exceptions import ResponseError

from broadcasting.redis_clients import RedisClients, server_of
from broadcasting.redis_clients.pipelines import AT_ONCE
from tests.conftest import Valkey, frozen


@pytest.mark.parametrize(("more", "most"), [("", 8), ("&max_connections=3", 3)])
async def test_however_many_ask_the_connections_are_few(
    valkey: Valkey, more: str, most: int
) -> None:
    url = f"{valkey.url}?client_name=few{more}"
    clients = RedisClients(server_of({"url": url}, "here"), timeout=5)

    async def ask(number: int) -> int:
        async with clients.lend() as client:
            return int(await client.eval(f"return {number}", 0))

    assert await asyncio.gather(*map(ask, range(200))) == list(range(200))
    names = [client["name"] for client in valkey.server.client().client_list()]
    assert names.count("few") == most
    await clients.aclose()


async def test_what_is_given_at_once_shares_a_connection_and_keeps_its_order(
    valkey: Valkey,
) -> None:
    url = f"{valkey.url}?client_name=one"
    clients = RedisClients(server_of({"url": url}, "here"), timeout=5)
    given = [clients.run("RPUSH", "in-order", number) for number in range(3000)]
    assert await asyncio.gather(*given) == list(range(1, 3001))
    server = valkey.server.client()
    assert [int(number) for number in server.lrange("in-order", 0, -1)] == list(range(3000))
    assert [client["name"] for client in server.client_list()].count("one") == 1
    await clients.aclose()


@pytest.mark.parametrize("others", [[], ["PING", "PING"]])
async def test_one_that_the_server_refuses_harms_no_other(
    valkey: Valkey, others: list[str]
) -> None:
    clients = RedisClients(server_of({"url": valkey.url}, "here"), timeout=5)
    given = [clients.run(word) for word in ("NONSENSE", *others)]
    refused, *answers = await asyncio.gather(*given, return_exceptions=True)
    assert isinstance(refused, ResponseError)
    assert "unknown command" in str(refused)
    assert answers == [True] * len(others)
    await clients.aclose()


async def test_what_was_given_up_before_it_could_leave_does_not_leave(valkey: Valkey) -> None:
    clients = RedisClients(server_of({"url": valkey.url}, "here"), timeout=5)
    given_up = asyncio.create_task(clients.run("SET", "given-up", "1"))
    await asyncio.sleep(0)
    given_up.cancel()
    assert await clients.run("EXISTS", "given-up") == 0
    await clients.aclose()


async def test_when_no_answer_comes_those_who_wait_behind_are_told_too(valkey: Valkey) -> None:
    clients = RedisClients(server_of({"url": valkey.url}, "here"), timeout=0.2)
    await clients.run("PING")
    with frozen(valkey):
        given = [clients.run("PING") for _ in range(AT_ONCE + 1)]
        answers = await asyncio.gather(*given, return_exceptions=True)
    assert {type(answer) for answer in answers} == {TimeoutError}
    assert await clients.run("PING") is True
    await clients.aclose()
