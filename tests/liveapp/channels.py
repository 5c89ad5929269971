from __future__ import annotations

from typing import Any

from broadcasting import channel, on_client_event, user_resolver
from broadcasting.client_events import ClientEventMessage
from broadcasting.signals import channel_occupied
from tests.liveapp.events import Happened


@channel("orders.{number}")
def orders(user: Any, number: int) -> bool:
    return number != 13


@user_resolver
def who(user: Any) -> dict[str, Any]:
    """Everybody watches everybody else."""
    others = type(user).objects.exclude(pk=user.pk).order_by("pk")
    return {"user_info": {"name": user.username}, "watchlist": others}


@channel("chat.{room}")
async def chat(user: Any, room: str) -> dict[str, Any]:
    return {"id": user.pk, "name": user.username}


@on_client_event("private-echo.*", "client-number")
def echo(message: ClientEventMessage) -> None:
    Happened(message.channel, message.data["number"]).dispatch()


@on_client_event("private-echo.*", "client-fail")
async def fail(message: ClientEventMessage) -> None:
    raise RuntimeError("the handler failed")


def greet(channel: str, **said: Any) -> None:
    if channel.startswith("private-echo."):
        Happened(channel, 0).dispatch()


channel_occupied.connect(greet, dispatch_uid="tests.liveapp.greet")


@channel("blog.Post.{number}")
@channel("shop.Order.{number}")
@channel("App.Models.User.{number}")
def models(user: Any, number: int) -> bool:
    return True
