"""What a live server holds right now: how full everything is that the node reaches."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter, deque
from collections.abc import Iterator
from typing import Any

from django.http import HttpRequest, JsonResponse

from broadcasting.server.node import get_node

_COUNTED = "counters"
"""Numbers that only grow; nothing is held there."""


async def inside(request: HttpRequest) -> JsonResponse:
    """Answer how many things lie where, by the way from the node, and how many tasks run."""
    gc.collect()
    return JsonResponse({"held": _sizes(get_node()), "tasks": len(asyncio.all_tasks())})


def _sizes(node: object) -> Counter[str]:
    held: Counter[str] = Counter()
    seen: set[int] = set()
    todo: list[tuple[str, Any]] = [("node", node)]
    while todo:
        path, value = todo.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, dict | set | list | deque):
            held[path] += len(value)
            parts = value.values() if isinstance(value, dict) else value
            todo += [(f"{path}[]", part) for part in parts]
        elif type(value).__module__.startswith("broadcasting."):
            todo += [(f"{path}.{name}", part) for name, part in _attributes(value)]
    return held


def _attributes(value: object) -> Iterator[tuple[str, Any]]:
    yield from getattr(value, "__dict__", {}).items()
    for kind in type(value).__mro__:
        slots = getattr(kind, "__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name != _COUNTED and hasattr(value, name):
                yield name, getattr(value, name)
