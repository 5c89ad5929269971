"""Requests as Pusher's server libraries build them, each with what is odd about it.

Written down by hand, so that languages which are not installed here are heard as well.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from tests.conformance.caller import Answer, Caller, ask, md5_of
from tests.conformance.peer import join
from tests.live import Server

Parameters = Mapping[str, str | Sequence[str]]
EMPTY_MD5 = "d41d8cd98f00b204e9800998ecf8427e"
BODY = b'{"name":"n","data":"{}","channels":["c"]}'


def credentials(body: bytes | None) -> dict[str, str]:
    own = {"auth_key": "app-key", "auth_timestamp": str(int(time.time())), "auth_version": "1.0"}
    return own if body is None else {**own, "body_md5": md5_of(body)}


def digest(method: str, path: str, query: str) -> str:
    text = f"{method}\n{path}\n{query}".encode()
    return hmac.new(b"app-secret", text, hashlib.sha256).hexdigest()


def joined(values: Mapping[str, str]) -> str:
    return "&".join(f"{key}={values[key]}" for key in sorted(values))


def flat(parameters: Parameters) -> dict[str, str]:
    return {k: v if isinstance(v, str) else ",".join(v) for k, v in parameters.items()}


def python(method: str, path: str, parameters: Parameters, body: bytes) -> str:
    """The MD5 of nothing on GET too; nothing in the query is escaped."""
    query = joined({**credentials(body), **flat(parameters)})
    return f"{query}&auth_signature={digest(method, path, query)}"


def node(method: str, path: str, parameters: Parameters, body: bytes) -> str:
    """Keys lowered and sorted, a list joined by commas, nothing escaped."""
    values = {k.lower(): v for k, v in flat(parameters).items()}
    query = joined({**credentials(body or None), **values})
    return f"{query}&auth_signature={digest(method, path, query)}"


def php(method: str, path: str, parameters: Parameters, body: bytes) -> str:
    """Lists are signed joined by commas, and sent as ``key[0]=a&key[1]=b``, all of it escaped."""
    own = credentials(body or None)
    signature = digest(method, path, joined({**own, **flat(parameters)}))
    pairs = [*own.items(), ("auth_signature", signature)]
    for key, value in parameters.items():
        if isinstance(value, str):
            pairs.append((key, value))
        else:
            pairs += [(f"{key}[{number}]", one) for number, one in enumerate(value)]
    return "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in pairs)


def ruby(method: str, path: str, parameters: Parameters, body: bytes) -> str:
    """Lists are signed and sent as ``key[]=a&key[]=b``; escaped when it is sent."""
    pairs = [*credentials(body or None).items()]
    for key, value in parameters.items():
        pairs += [(key, value)] if isinstance(value, str) else [(f"{key}[]", v) for v in value]
    pairs.sort(key=lambda pair: pair[0])
    signature = digest(method, path, "&".join(f"{k}={v}" for k, v in pairs))
    pairs.append(("auth_signature", signature))
    return "&".join(f"{quote(k, safe='[]')}={quote(v, safe='')}" for k, v in pairs)


def go(method: str, path: str, parameters: Parameters, body: bytes) -> str:
    """Sorted and escaped as a form; what is signed was unescaped again."""
    values = {**credentials(body or None), **flat(parameters)}
    values["auth_signature"] = digest(method, path, joined(values))
    return "&".join(f"{quote_plus(k)}={quote_plus(values[k])}" for k in sorted(values))


Library = Callable[[str, str, Parameters, bytes], str]
LIBRARIES = [python, node, php, ruby, go]


@pytest.fixture(params=LIBRARIES, ids=lambda library: library.__name__)
def call(request: pytest.FixtureRequest, server: Server) -> Callable[..., Answer]:
    """Make one request as a library would."""
    library: Library = request.param

    def send(method: str, path: str, body: bytes = b"", **parameters: Any) -> Answer:
        query = library(method, path, parameters, body)
        headers = {"X-Pusher-Library": f"pusher-http-{library.__name__} 1.2.3"}  # 259
        connection = Caller(server).connect()
        try:
            return ask(connection, method, path, query, body, headers)
        finally:
            connection.close()

    return send


async def test_an_event(server: Server, call: Callable[..., Answer]) -> None:
    """196, 197, as far as it is built by hand."""
    async with join(server) as peer:
        await peer.subscribe("c")
        answer = call("POST", "/apps/app/events", BODY)
        assert (answer.status, answer.text) == (200, "{}")
        await peer.expect("n", "c")


async def test_reading(server: Server, call: Callable[..., Answer]) -> None:
    """170, 171, 173: with ``body_md5`` on GET or without."""
    name = "presence-a=b,c;d@e"
    async with join(server) as peer:
        await peer.enter(name, "1")
        assert call("GET", "/apps/app/channels").body == {"channels": {name: {}}}
        found = call(
            "GET",
            "/apps/app/channels",
            filter_by_prefix="presence-a=b,",
            info="user_count,subscription_count",
        )
        assert found.body == {"channels": {name: {"user_count": 1, "subscription_count": 1}}}
        assert call("GET", f"/apps/app/channels/{name}").body == {"occupied": True}
        assert call("GET", f"/apps/app/channels/{name}/users").body == {"users": [{"id": "1"}]}


def test_lists(server: Server, call: Callable[..., Answer]) -> None:
    """Parameters that are lists, as each library signs and sends them."""
    both = ["user_count", "subscription_count"]
    answer = call("GET", "/apps/app/channels/presence-nobody", info=both)
    assert answer.status == 200, answer
    assert answer.body == {"occupied": False, "user_count": 0, "subscription_count": 0}
    one = call("GET", "/apps/app/channels/nobody", info=["subscription_count"])
    assert one.body == {"occupied": False, "subscription_count": 0}


@pytest.mark.parametrize("body", [b"", b"{}"])
def test_ending_connections(call: Callable[..., Answer], body: bytes) -> None:
    """195."""
    answer = call("POST", "/apps/app/users/7/terminate_connections", body)
    assert (answer.status, answer.text) == (200, "{}")


def test_the_md5_of_nothing_must_be_right(server: Server) -> None:
    """167, 170."""
    caller = Caller(server)
    for md5, status in ((EMPTY_MD5, 200), (EMPTY_MD5.upper(), 200), (md5_of(b"x"), 401)):
        path = caller.path("channels")
        pairs = caller.sign("GET", path, changes={"body_md5": md5})
        assert caller.send("GET", path, pairs).status == status


def test_a_list_and_a_value_of_one_name(server: Server) -> None:
    """Nobody could say which of them counts."""
    caller = Caller(server)
    path = caller.path("channels")
    for names in (("info", "info[]"), ("info[]", "info"), ("info", "Info[0]")):
        pairs = [*caller.sign("GET", path), *((name, "subscription_count") for name in names)]
        assert caller.send("GET", path, pairs).status == 400
