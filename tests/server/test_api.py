"""The HTTP API in memory: what plain HTTP asks of it, whatever the server."""

from __future__ import annotations

from typing import Any

from broadcasting.api import Api


async def ask(method: str, path: str) -> dict[str, Any]:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": []}
    api = Api()
    target = api.find(scope)
    assert target is not None
    await api.answer(target, scope, receive, send)
    return {"status": sent[0]["status"], "headers": dict(sent[0]["headers"])}


async def test_another_method_is_told_which_one_is_allowed():
    for method in ("GET", "PUT", "OPTIONS"):
        answer = await ask(method, "/apps/app/events")
        assert answer["status"] == 405
        assert answer["headers"][b"allow"] == b"POST"


async def test_every_answer_has_its_length():
    answer = await ask("POST", "/apps/nobody/events")
    assert answer["status"] == 404
    assert int(answer["headers"][b"content-length"]) > 0
