"""What leaves together where many ask a server of one loop at once."""

from __future__ import annotations

import asyncio

import pytest
from redis.exceptions import RedisError, ResponseError

from broadcasting.redis_clients import RedisClients, server_of
from broadcasting.redis_clients.clients import COMMANDS_AT_ONCE
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


async def test_where_no_answer_comes_everybody_is_told_and_the_next_have_theirs(
    valkey: Valkey,
) -> None:
    clients = RedisClients(server_of({"url": valkey.url}, "here"), timeout=0.2)
    await clients.run("PING")
    with frozen(valkey):
        given = [clients.run("PING") for _ in range(COMMANDS_AT_ONCE + 1)]
        answers = await asyncio.gather(*given, return_exceptions=True)
    assert {type(answer) for answer in answers} == {TimeoutError}
    assert await clients.run("PING") is True
    await clients.aclose()


async def test_one_that_costs_the_connection_costs_no_more_than_those_beside_it(
    own_valkey: Valkey,
) -> None:
    own_valkey.server.client().config_set("proto-max-bulk-len", 1_048_576)
    clients = RedisClients(server_of({"url": own_valkey.url}, "here"), timeout=5)
    too_long = clients.run("ECHO", "x" * 2_000_000)
    given = [clients.run("ECHO", str(number)) for number in range(3 * COMMANDS_AT_ONCE)]
    problem, *answers = await asyncio.gather(too_long, *given, return_exceptions=True)
    assert isinstance(problem, RedisError)
    behind = range(COMMANDS_AT_ONCE - 1, 3 * COMMANDS_AT_ONCE)
    assert answers[behind.start :] == [str(number).encode() for number in behind]
    await clients.aclose()


async def test_closing_cuts_off_nothing_that_was_given(valkey: Valkey) -> None:
    clients = RedisClients(server_of({"url": valkey.url}, "here"), timeout=5)
    await clients.run("PING")  # it is connected
    valkey.server.client().execute_command("CLIENT", "PAUSE", 100, "ALL")
    given = [asyncio.create_task(clients.run("PING")) for _ in range(2 * COMMANDS_AT_ONCE)]
    await asyncio.sleep(0.02)  # the first are on their way
    await clients.aclose()
    assert await asyncio.gather(*given) == [True] * len(given)


async def test_after_all_tasks_were_cancelled_commands_leave_again(valkey: Valkey) -> None:
    """As at the end of a loop, in which somebody says goodbye."""
    clients = RedisClients(server_of({"url": valkey.url}, "here"), timeout=5)
    first = asyncio.create_task(clients.run("PING"))
    await asyncio.sleep(0)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    async with asyncio.timeout(5):
        assert await clients.run("PING") is True
    await clients.aclose()
