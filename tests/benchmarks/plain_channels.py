"""What a Django developer writes without this package: a consumer a socket, a group a channel.

The yardstick of the fan-out benchmark. It speaks just enough of the protocol for the
same load client; signatures are not checked.
"""

from __future__ import annotations

import json
import os
from typing import Any

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="benchmark",
    ALLOWED_HOSTS=["*"],
    INSTALLED_APPS=["channels"],
    CHANNEL_LAYERS={
        "default": {
            "BACKEND": "channels.layers.InMemoryChannelLayer",
            "CONFIG": {"capacity": 100_000},
        }
    },
)
os.environ.pop("DJANGO_SETTINGS_MODULE", None)
django.setup()

from channels.generic.websocket import AsyncWebsocketConsumer  # noqa: E402
from channels.layers import get_channel_layer  # noqa: E402
from channels.routing import ProtocolTypeRouter  # noqa: E402


class Consumer(AsyncWebsocketConsumer):
    """Joins a group for each subscription and forwards what the group sends."""

    async def connect(self) -> None:
        await self.accept()
        data = json.dumps({"socket_id": "1.1", "activity_timeout": 120})
        await self.send(json.dumps({"event": "pusher:connection_established", "data": data}))

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        channel = json.loads(text_data or "")["data"]["channel"]
        await self.channel_layer.group_add(channel, self.channel_name)
        event = "pusher_internal:subscription_succeeded"
        await self.send(json.dumps({"event": event, "channel": channel, "data": "{}"}))

    async def broadcast(self, message: dict[str, Any]) -> None:
        await self.send(text_data=json.dumps(message["frame"]))


async def publish(scope: Any, receive: Any, send: Any) -> None:
    """Take the body of ``POST /apps/{id}/events`` and send it to its groups."""
    body, more = b"", True
    while more:
        part = await receive()
        body, more = body + part.get("body", b""), part.get("more_body", False)
    event = json.loads(body)
    layer = get_channel_layer()
    assert layer is not None
    for channel in event["channels"]:
        frame = {"event": event["name"], "channel": channel, "data": event["data"]}
        await layer.group_send(channel, {"type": "broadcast", "frame": frame})
    headers = [(b"content-length", b"2"), (b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"{}"})


application = ProtocolTypeRouter({"websocket": Consumer.as_asgi(), "http": publish})
