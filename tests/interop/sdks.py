"""Pusher's own server libraries, unmodified, behind one face."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import pusher
from pusher.errors import PusherBadAuth, PusherBadRequest, PusherBadStatus, PusherForbidden

from tests.live import Server
from tests.node.process import Node

Batch = list[dict[str, Any]]


@dataclass(frozen=True)
class Credentials:
    app_id: str = "1001"
    key: str = "digits-key"
    secret: str = "digits-secret"


class Refused(Exception):
    """What a library made of a refusal: the status, and what the server said."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status} {message}")
        self.status = status


class Sdk(ABC):
    """A library with credentials. Raises Refused."""

    def __init__(self, server: Server, credentials: Credentials) -> None:
        self.server = server
        self.credentials = credentials

    @abstractmethod
    def trigger(
        self, channels: str | list[str], name: str, data: Any, socket_id: str | None = None
    ) -> Any:
        """Publish and return the decoded answer."""

    @abstractmethod
    def trigger_batch(self, batch: Batch) -> Any: ...

    @abstractmethod
    def channels(self, prefix: str | None = None, info: list[str] | None = None) -> Any: ...

    @abstractmethod
    def channel(self, name: str, info: list[str] | None = None) -> Any: ...

    @abstractmethod
    def users(self, name: str) -> Any: ...

    @abstractmethod
    def send_to_user(self, user_id: str, name: str, data: Any) -> Any: ...

    @abstractmethod
    def terminate(self, user_id: str) -> Any: ...


class PythonSdk(Sdk):
    """PyPI's ``pusher``."""

    def trigger(
        self, channels: str | list[str], name: str, data: Any, socket_id: str | None = None
    ) -> Any:
        return self._call("trigger", channels, name, data, socket_id)

    def trigger_batch(self, batch: Batch) -> Any:
        return self._call("trigger_batch", batch)

    def channels(self, prefix: str | None = None, info: list[str] | None = None) -> Any:
        return self._call("channels_info", prefix, info or [])

    def channel(self, name: str, info: list[str] | None = None) -> Any:
        return self._call("channel_info", name, info or [])

    def users(self, name: str) -> Any:
        return self._call("users_info", name)

    def send_to_user(self, user_id: str, name: str, data: Any) -> Any:
        return self._call("send_to_user", user_id, name, data)

    def terminate(self, user_id: str) -> Any:
        return self._call("terminate_user_connections", user_id)

    def _call(self, method: str, *args: Any) -> Any:
        client = pusher.Pusher(
            app_id=self.credentials.app_id,
            key=self.credentials.key,
            secret=self.credentials.secret,
            host="127.0.0.1",
            port=self.server.port,
            ssl=False,
        )
        try:
            return getattr(client, method)(*args)
        except (PusherBadRequest, PusherBadAuth, PusherForbidden, PusherBadStatus) as error:
            known = {PusherBadRequest: 400, PusherBadAuth: 401, PusherForbidden: 403}
            status = known.get(type(error)) or int(str(error).partition(":")[0])
            raise Refused(status, str(error)) from error
        finally:
            client._pusher_client.http.session.close()


class NpmSdk(Sdk):
    """npm's ``pusher``, in a node process."""

    def __init__(self, server: Server, credentials: Credentials, node: Node) -> None:
        super().__init__(server, credentials)
        self.node = node

    def trigger(
        self, channels: str | list[str], name: str, data: Any, socket_id: str | None = None
    ) -> Any:
        more = [] if socket_id is None else [{"socket_id": socket_id}]
        return self._call("trigger", channels, name, data, *more)

    def trigger_batch(self, batch: Batch) -> Any:
        return self._call("triggerBatch", batch)

    def channels(self, prefix: str | None = None, info: list[str] | None = None) -> Any:
        parameters = {} if prefix is None else {"filter_by_prefix": prefix}
        return self._get("/channels", info, parameters)

    def channel(self, name: str, info: list[str] | None = None) -> Any:
        return self._get(f"/channels/{name}", info)

    def users(self, name: str) -> Any:
        return self._get(f"/channels/{name}/users")

    def send_to_user(self, user_id: str, name: str, data: Any) -> Any:
        return self._call("sendToUser", user_id, name, data)

    def terminate(self, user_id: str) -> Any:
        return self._call("terminateUserConnections", user_id)

    def _get(
        self, path: str, info: list[str] | None = None, parameters: dict[str, Any] | None = None
    ) -> Any:
        # A list goes as it is: the library joins it.
        params = {**(parameters or {}), **({"info": info} if info else {})}
        return self._call("get", {"path": path, "params": params})

    def _call(self, method: str, *args: Any) -> Any:
        options = {
            "appId": self.credentials.app_id,
            "key": self.credentials.key,
            "secret": self.credentials.secret,
            "host": "127.0.0.1",
            "port": self.server.port,
            "useTLS": False,
        }
        answer = self.node.call("sdk", options=options, method=method, args=args)
        if "error" in answer:
            raise Refused(answer["status"], f"{answer['error']}: {answer['body']}")
        return json.loads(answer["body"])
