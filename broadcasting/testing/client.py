"""A Pusher client in memory: the real application, the real consumer, no port, no server.

::

    with PusherClient() as client:                       # sync tests
        client.subscribe("private-orders.1", user=buyer) # asks the project's own rules
        OrderShipped(order).dispatch()
        assert client.receive().event == "OrderShipped"
        client.sign_in(buyer)                            # asks the project's user resolver

    async with PusherClient() as client:                 # async tests: the a-twins
        await client.asubscribe("orders")
        assert (await client.areceive()).data == {"id": 1}

In a ``TestCase`` nothing ever commits, so events wait for ever: dispatch them inside its
``captureOnCommitCallbacks(execute=True)``, or take ``TransactionTestCase``.
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from collections.abc import Coroutine, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

from asgiref.testing import ApplicationCommunicator

from broadcasting.applications import Application, default_application
from broadcasting.asgi import get_application
from broadcasting.authorization import Outcome
from broadcasting.backplanes.background import background
from broadcasting.conf import get_settings
from broadcasting.encryption import channel_key
from broadcasting.protocol.encryption import shared_secret
from broadcasting.protocol.names import ChannelKind, kind_of
from broadcasting.protocol.signing import authorization, channel_text, user_text
from broadcasting.testing.authorization import achannel_auth, auser_auth, channel_auth, user_auth
from broadcasting.testing.frames import Received, SocketClosed, read
from broadcasting.typing import AsgiApplication, Message

__all__ = ["PusherClient", "Received", "SocketClosed"]

T = TypeVar("T")


class PusherClient:
    """One socket. Twins in both colours: ``receive`` blocks, ``areceive`` is awaited.

    ``timeout`` is how long, in seconds, a frame is waited for before AssertionError.
    """

    def __init__(
        self,
        application: str | None = None,
        *,
        asgi: AsgiApplication | None = None,
        headers: Mapping[str, str] | None = None,
        query: str = "protocol=7&client=python&version=1",
        key: str | None = None,
        timeout: float = 5.0,
    ) -> None:
        self.application: Application = default_application(application)
        self.timeout = timeout
        self.socket_id = ""
        self._keys: dict[str, bytes] = {}
        self._asgi = asgi
        path = f"{get_settings().server.path}/app/{key or self.application.key}"
        self._scope = {
            "type": "websocket",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [
                (name.lower().encode(), value.encode()) for name, value in (headers or {}).items()
            ],
            "subprotocols": [],
        }
        self._socket: ApplicationCommunicator | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def aconnect(self) -> Self:
        """Open the socket and take the greeting. Raises SocketClosed if it is refused."""
        self._loop = asyncio.get_running_loop()
        self._socket = ApplicationCommunicator(self._asgi or get_application(), self._scope)
        await self._socket.send_input({"type": "websocket.connect"})
        answer = await self._output()
        if answer["type"] != "websocket.accept":
            raise SocketClosed(answer.get("code", 1006))
        greeting = await self.areceive()
        if greeting.event == "pusher:connection_established":
            self.socket_id = greeting.data["socket_id"]
            return self
        await self.areceive()  # raises SocketClosed with the code
        raise AssertionError(f"expected a greeting, got {greeting.frame}")

    async def aclose(self) -> None:
        """Close the socket, as a closed tab does, and wait until the server forgot it."""
        if self._socket is None:
            return
        socket, self._socket = self._socket, None
        await socket.send_input({"type": "websocket.disconnect", "code": 1001})
        await socket.wait(self.timeout)

    async def asend(self, message: object) -> None:
        """Send ``message`` as JSON; a string goes out as it is, to test malformed ones."""
        text = message if isinstance(message, str) else json.dumps(message)
        await self._open_socket().send_input({"type": "websocket.receive", "text": text})

    async def areceive(self, timeout: float | None = None) -> Received:
        """Return the next frame. Raises SocketClosed, or AssertionError if none comes."""
        output = await self._output(timeout)
        if output["type"] == "websocket.close":
            raise SocketClosed(output.get("code", 1000), output.get("reason", ""))
        return read(output["text"], self._keys)

    async def asubscribe(
        self,
        channel: str,
        *,
        user: Any = None,
        member: Mapping[str, Any] | None = None,
        auth: str | None = None,
    ) -> Received:
        """Subscribe and return the server's answer.

        With ``user``, the project's channel rules decide and sign, and a denial is an
        AssertionError with its reason. Without, the client signs for itself, ``member``
        being the ``channel_data`` of a presence channel. ``auth`` is sent as it is. What
        arrives on an encrypted channel is decrypted. A cache channel's last event, or
        ``pusher:cache_miss``, is the next frame.
        """
        if user is not None:
            decision = await achannel_auth(user, channel, socket_id=self.socket_id)
            return await self._ask(channel, _allowed(channel, decision))
        return await self._ask(channel, self._own_answer(channel, member, auth))

    async def asign_in(
        self,
        user: Any = None,
        *,
        user_data: Mapping[str, Any] | None = None,
        auth: str | None = None,
    ) -> Received:
        """Sign in and return the server's answer; the user's own channel is joined with it.

        With ``user``, the project's user resolver decides, and a denial is an AssertionError
        with its reason. Without, the client signs ``user_data`` for itself. ``auth`` is sent
        as it is. Watchlist events follow as the next frame.
        """
        if user is not None:
            found = await auser_auth(user, socket_id=self.socket_id)
            return await self._present(_allowed("the sign-in", found))
        return await self._present(self._own_user(user_data, auth))

    async def aunsubscribe(self, channel: str) -> None:
        """Leave ``channel``. The protocol has no answer to it."""
        await self.asend({"event": "pusher:unsubscribe", "data": {"channel": channel}})

    async def awhisper(self, channel: str, event: str, data: Any) -> None:
        """Send the client event ``client-{event}`` to the other subscribers."""
        await self.asend({"event": f"client-{event}", "channel": channel, "data": data})

    async def areceive_nothing(self) -> None:
        """Assert that nothing waits: a ping's answer is the very next frame."""
        await self.asend({"event": "pusher:ping", "data": {}})
        answer = await self.areceive()
        if answer.event != "pusher:pong":
            raise AssertionError(f"expected nothing, got {answer.frame}")

    def connect(self) -> Self:
        """See aconnect()."""
        return self._run(self.aconnect())

    def close(self) -> None:
        """See aclose()."""
        self._run(self.aclose())

    def send(self, message: object) -> None:
        """See asend()."""
        self._run(self.asend(message))

    def receive(self, timeout: float | None = None) -> Received:
        """See areceive()."""
        return self._run(self.areceive(timeout), timeout)

    def subscribe(
        self,
        channel: str,
        *,
        user: Any = None,
        member: Mapping[str, Any] | None = None,
        auth: str | None = None,
    ) -> Received:
        """See asubscribe()."""
        if user is None:
            return self._run(self.asubscribe(channel, member=member, auth=auth))
        # In this very thread, whose open transaction (TestCase) may hold the rows in question.
        decision = channel_auth(user, channel, socket_id=self.socket_id)
        return self._run(self._ask(channel, _allowed(channel, decision)))

    def sign_in(
        self,
        user: Any = None,
        *,
        user_data: Mapping[str, Any] | None = None,
        auth: str | None = None,
    ) -> Received:
        """See asign_in()."""
        if user is None:
            return self._run(self.asign_in(user_data=user_data, auth=auth))
        found = user_auth(user, socket_id=self.socket_id)  # here, as in subscribe()
        return self._run(self._present(_allowed("the sign-in", found)))

    def unsubscribe(self, channel: str) -> None:
        """See aunsubscribe()."""
        self._run(self.aunsubscribe(channel))

    def whisper(self, channel: str, event: str, data: Any) -> None:
        """See awhisper()."""
        self._run(self.awhisper(channel, event, data))

    def receive_nothing(self) -> None:
        """See areceive_nothing()."""
        self._run(self.areceive_nothing())

    def __enter__(self) -> Self:
        return self.connect()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return await self.aconnect()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def _ask(self, channel: str, answer: Mapping[str, str]) -> Received:
        data = {"channel": channel, **answer}
        # Not for the server, which must not be able to read what it carries.
        if secret := data.pop("shared_secret", None):
            self._keys[channel] = b64decode(secret)
        await self.asend({"event": "pusher:subscribe", "data": data})
        return await self.areceive()

    async def _present(self, answer: Mapping[str, str]) -> Received:
        await self.asend({"event": "pusher:signin", "data": dict(answer)})
        return await self.areceive()

    def _own_user(self, user_data: Mapping[str, Any] | None, auth: str | None) -> dict[str, str]:
        data = json.dumps(user_data)
        text = user_text(self.socket_id, data)
        signed = authorization(self.application, text) if auth is None else auth
        return {"auth": signed, "user_data": data}

    def _own_answer(
        self, channel: str, member: Mapping[str, Any] | None, auth: str | None
    ) -> dict[str, str]:
        answer: dict[str, str] = {}
        if auth is not None or kind_of(channel) is not ChannelKind.PUBLIC:
            channel_data = None if member is None else json.dumps(member)
            text = channel_text(self.socket_id, channel, channel_data)
            answer["auth"] = auth if auth is not None else authorization(self.application, text)
            if channel_data is not None:
                answer["channel_data"] = channel_data
        if kind_of(channel) is ChannelKind.ENCRYPTED and self.application.encryption_master_key:
            answer["shared_secret"] = shared_secret(channel_key(self.application, channel))
        return answer

    def _run(self, coroutine: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        # The socket lives on the background loop, so that the test's own thread is free
        # to dispatch, as a view's thread is.
        seconds = self.timeout if timeout is None else timeout
        return background.submit(coroutine).result(seconds + 1)

    def _open_socket(self) -> ApplicationCommunicator:
        if self._socket is None:
            raise AssertionError("not connected: use the client as a context manager")
        if asyncio.get_running_loop() is not self._loop:
            raise AssertionError(
                "the socket was opened in the other colour: after connect() use receive() and its"
                " kin, after aconnect() their a-twins"
            )
        return self._socket

    async def _output(self, timeout: float | None = None) -> Message:
        socket = self._open_socket()
        try:
            async with asyncio.timeout(self.timeout if timeout is None else timeout):
                message: Message = await socket.output_queue.get()
        except TimeoutError:
            if socket.future.done() and not socket.future.cancelled():
                socket.future.result()  # shows the exception that ended the consumer
            raise AssertionError("no frame came in time") from None
        return message


def _allowed(what: str, outcome: Outcome) -> Mapping[str, str]:
    if not outcome.allowed:
        raise AssertionError(f"{what} was denied: {outcome.reason}")
    return outcome.answer or {}
