"""The hops in their order, from the settings to an event on a real socket."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from django.core.exceptions import ImproperlyConfigured

from broadcasting.applications import Application, default_application, get_applications
from broadcasting.backplanes import get_backplane
from broadcasting.conf import get_settings
from broadcasting.doctor import carriers, project
from broadcasting.doctor.canary import EVENT, Canary
from broadcasting.doctor.carriers import RELAYS
from broadcasting.doctor.client import Address, Socket, Unreachable, publish
from broadcasting.doctor.report import Examiner, Failed, Hop, Skipped, described
from broadcasting.exceptions import BroadcastingError
from broadcasting.queues import get_queue
from broadcasting.queues.outbox import OutboxQueue

USUAL_PLACES = ("http://127.0.0.1:8000", "http://127.0.0.1:6001")
"""Where ``runserver`` and ``websockets_serve`` listen when nobody says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the caller asked for."""

    url: str | None = None
    """The server; None: ``SERVER.PUBLIC_URL``, else the usual places on this machine."""

    timeout: float = 5.0
    """Seconds that one hop may take."""

    origin: str | None = None
    """The Origin that a browser would send; None sends none, which is always allowed."""


def examine(wish: Wish) -> Iterator[Hop]:
    """Yield every hop as soon as it is known."""
    examiner = Examiner(_secrets())
    failed: set[str] = set()

    def hop(name: str, check: Callable[[], str], *after: str) -> Hop:
        if missing := [earlier for earlier in after if earlier in failed]:
            failed.add(name)
            because = f"{missing[0]} comes first"
            return Hop(name=name, status="skipped", detail=because)
        found = examiner.examine(name, check)
        if found.status == "failed":
            failed.add(name)
        return found

    yield hop("settings", project.check_settings)
    yield hop("application", project.check_application)
    yield hop("broadcaster", project.check_broadcaster)
    yield hop("urls", project.check_urls)
    yield hop("middleware", project.check_middleware)
    yield hop("asgi", project.check_asgi)
    yield hop("files", project.check_files)
    yield hop("queue", lambda: carriers.check_queue(wish.timeout))
    yield hop("backplane", lambda: carriers.check_backplane(wish.timeout))
    with ExitStack() as stack:
        visit = Visit(wish, stack)
        yield hop("server", visit.connect, "application")
        yield hop("subscription", visit.subscribe, "server")
        yield hop("api", visit.publish, "subscription")
        yield hop("delivery", visit.wait_for_published, "api")
        yield hop("event", visit.dispatch, "subscription", "broadcaster", "queue", "backplane")


class Visit:
    """One socket at the server, from its handshake to the canaries that reach it."""

    def __init__(self, wish: Wish, stack: ExitStack) -> None:
        self.wish = wish
        self.stack = stack
        self.channel = f"broadcasting-doctor.{secrets.token_hex(8)}"
        self.number = secrets.token_hex(8)
        self._socket: Socket | None = None

    @property
    def socket(self) -> Socket:
        """The open socket; the hop ``server`` comes first."""
        if self._socket is None:
            raise Failed("no socket is open")
        return self._socket

    def connect(self) -> str:
        """Open a socket where browsers would."""
        server = get_settings().server
        url = self.wish.url or server.public_url
        application = default_application()
        problems: list[Failed] = []
        for place in [url] if url else USUAL_PLACES:
            address = Address.parse(place, server.path)
            socket = self.stack.enter_context(Socket(address, application, self.wish.timeout))
            try:
                socket_id = socket.open(self.wish.origin)
            except Failed as problem:
                problems.append(problem)
            else:
                self._socket = socket
                return f"{address} greets the socket {socket_id}"
        # A server that answers wrongly says more than a port where nobody is.
        telling = [problem for problem in problems if not isinstance(problem, Unreachable)]
        raise Failed("; ".join(p.detail for p in problems), (telling or problems)[0].cure)

    def subscribe(self) -> str:
        """Join a public channel that nobody else can know."""
        self.socket.subscribe(self.channel)
        return f"joined {self.channel}"

    def publish(self) -> str:
        """Send a canary through the HTTP API, as another program would."""
        body = {
            "name": EVENT,
            "channel": self.channel,
            "data": json.dumps({"number": self.number}),
        }
        application = self.socket.application
        publish(self.socket.address, application, body, self.wish.timeout)
        return f"POST /apps/{application.id}/events took a signed event"

    def wait_for_published(self) -> str:
        """Wait for that canary on the socket."""
        try:
            self.socket.wait_for(EVENT, self.number)
        except TimeoutError:
            raise Failed(
                f"the event did not reach the socket within {self.wish.timeout:g} s",
                "The process that took the POST is not the one that holds the socket, and the"
                " backplane does not join them: see the hop backplane, and run one server"
                " process or a crossing backplane.",
            ) from None
        return "it reached the socket"

    def dispatch(self) -> str:
        """Send a canary as the project sends its own events: queue, broadcaster, backplane."""
        conf = get_settings()
        entry = conf.broadcasters[conf.default_broadcaster]
        if entry.backend != "channels":
            raise Skipped(f"the default broadcaster is {entry.backend!r}")
        if not get_backplane().crosses_processes:
            raise Skipped(
                "only a process that holds sockets can send through this backplane: press the"
                " button at broadcasting/welcome/"
            )
        number = secrets.token_hex(8)
        try:
            Canary(self.channel, number).dispatch()
        except (BroadcastingError, ImproperlyConfigured) as error:
            raise Failed(
                f"dispatching raised {described(error)}",
                "The queue's broker or the backplane is down: see the hops above.",
            ) from error
        try:
            self.socket.wait_for(EVENT, number)
        except TimeoutError:
            raise Failed(
                f"a dispatched event did not reach the socket within {self.wish.timeout:g} s",
                _where_it_is_lost(),
            ) from None
        return f"dispatched through the queue {conf.queue.backend!r}, and there it is"


def _where_it_is_lost() -> str:
    same = "The server may listen elsewhere: it needs the same BACKPLANE and CHANNEL_LAYERS."
    queue = get_queue()
    if isinstance(queue, OutboxQueue):
        return f"{RELAYS} {same}"
    if queue.leaves_process:
        return f"The worker may have failed, or run with other settings: see its log. {same}"
    return same


def _secrets() -> Iterator[str]:
    try:
        applications: list[Application] = [*get_applications().all()]
    except Exception:  # the hop "application" tells what is wrong with them
        return
    for application in applications:
        yield from application.secrets
