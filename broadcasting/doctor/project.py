"""The hops inside one web process: settings, routes, middleware, the ASGI application."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Iterator, Sequence
from typing import Any

from channels.routing import get_default_application
from django.conf import settings as django_settings
from django.core.checks import ERROR, CheckMessage, run_checks
from django.test import Client
from django.urls import NoReverseMatch, reverse

from broadcasting.applications import default_application, get_applications
from broadcasting.broadcasters import SILENT
from broadcasting.conf import get_settings
from broadcasting.doctor.report import Doubtful, Failed, Skipped, described
from broadcasting.ending import end
from broadcasting.server.limits import CURE, FEW, capacity, raise_file_limit
from broadcasting.typing import AsgiApplication, Message

MIDDLEWARE = "broadcasting.middleware.SocketIdMiddleware"


def check_settings() -> str:
    """Run the package's system checks."""
    found = [message for message in run_checks(tags=["broadcasting"]) if not message.is_silenced()]
    errors = [message for message in found if message.level >= ERROR]
    if errors:
        raise Failed(*_words(errors))
    if found:
        raise Doubtful(*_words(found))
    return "the system checks find nothing"


def check_application() -> str:
    """See that there is a tenant, and that it is on."""
    application = default_application()
    if not application.enabled:
        raise Failed(
            f"the application {application.id!r} is disabled",
            'Take "enabled": False out of BROADCASTING["APPLICATIONS"].',
        )
    number = len(get_applications().all())
    others = f", the first of {number}" if number > 1 else ""
    return f"{application.id!r} with the key {application.key!r}{others}"


def check_broadcaster() -> str:
    """See that the default broadcaster sends to sockets at all."""
    conf = get_settings()
    entry = conf.broadcasters.get(conf.default_broadcaster)
    if entry is None:
        raise Failed(
            f"DEFAULT_BROADCASTER is {conf.default_broadcaster!r}, which BROADCASTERS lacks",
            f"Use one of {', '.join(conf.broadcasters)}.",
        )
    if entry.backend in SILENT:
        raise Failed(
            f"{conf.default_broadcaster!r} is {entry.backend!r}: no browser gets anything",
            'Use {"BACKEND": "channels"} in BROADCASTING["BROADCASTERS"] for real sockets.',
        )
    return f"{conf.default_broadcaster!r} is {entry.backend!r}"


def check_urls() -> str:
    """Ask the auth view for a channel that nobody may join, through every middleware."""
    try:
        path = reverse("broadcasting:auth")
    except NoReverseMatch:
        raise Failed(
            "broadcasting.urls is not included, so private channels cannot be joined",
            'Add path("broadcasting/", include("broadcasting.urls")) to the root URLconf.',
        ) from None
    client = Client(
        enforce_csrf_checks=True, raise_request_exception=False, SERVER_NAME=_allowed_host()
    )
    channel = f"private-broadcasting-doctor.{secrets.token_hex(4)}"
    with _refusals_unlogged():
        answer = client.post(path, {"socket_id": "1.1", "channel_name": channel}, secure=True)
    if answer.status_code in (301, 302, 307, 308):
        raise Failed(
            f"{path} redirects to {answer.headers.get('Location', '')}",
            "A middleware sends visitors to a login page: let it pass the broadcasting views.",
        )
    kind = answer.headers.get("Content-Type", "")
    if answer.status_code != 403 or "json" not in kind:
        raise Failed(
            f"{path} answers {answer.status_code} ({kind or 'no type'}), not 403 as JSON",
            "Another URL pattern or a middleware answers in our place: put our include() first"
            " in urlpatterns and see the log of this command.",
        )
    return f"{path} answers, and refuses what has no rule"


def check_middleware() -> str:
    """See that to_others() can know the sender's socket."""
    if MIDDLEWARE not in django_settings.MIDDLEWARE:
        raise Doubtful(
            "SocketIdMiddleware is missing: to_others() also reaches the sender",
            f'Add "{MIDDLEWARE}" to MIDDLEWARE.',
        )
    return "SocketIdMiddleware reads X-Socket-ID"


def check_asgi() -> str:
    """Import the ASGI application and knock at it with a socket, in this process."""
    dotted = getattr(django_settings, "ASGI_APPLICATION", None)
    if not dotted:
        raise Skipped("ASGI_APPLICATION is not set: sockets need a server of their own")
    try:
        application = get_default_application()
    except Exception as error:  # whatever the project's module raises
        raise Failed(
            f"{dotted} cannot be imported: {described(error)}",
            "ASGI_APPLICATION names a variable of your asgi.py, such as"
            " 'mysite.asgi.application'; import that module in a shell to see the error.",
        ) from error
    if not asyncio.run(_takes_sockets(application)):
        raise Failed(
            f"{dotted} does not take sockets",
            "Let asgi.py end with: from broadcasting.asgi import get_application;"
            " application = get_application(get_asgi_application())",
        )
    return f"{dotted} takes sockets"


def check_files() -> str:
    """See how many sockets a server could hold that is started as this command was."""
    files = raise_file_limit()
    fits = capacity(files)
    if fits is None:
        return "nothing limits how many files a process may open"
    found = f"a process may open {files:,} files, which is enough for {fits:,} sockets"
    if fits < FEW:
        raise Doubtful(found, f"For a server of many, {CURE}.")
    return found


async def _takes_sockets(application: AsgiApplication) -> bool:
    prefix = get_settings().server.path
    # A key that no application has: refused, but by us and in our words.
    path = f"{prefix}/app/doctor-{secrets.token_hex(4)}"
    scope = {
        "type": "websocket",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"protocol=7",
        "headers": [],
        "scheme": "ws",
        "subprotocols": [],
    }
    answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    knocked = False

    async def receive() -> Message:
        nonlocal knocked
        if not knocked:
            knocked = True
            return {"type": "websocket.connect"}
        await asyncio.wait({answer})
        return {"type": "websocket.disconnect", "code": 1005}

    async def send(message: Message) -> None:
        if not answer.done():
            answer.set_result(message["type"])

    serving = asyncio.ensure_future(application(scope, receive, send))
    first: list[asyncio.Future[Any]] = [serving, answer]
    await asyncio.wait(first, timeout=5, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.wait({serving}, timeout=1)
    # Each framework has its own way to say no; all that counts is who said yes.
    await end({serving}, 1)
    return answer.done() and answer.result() == "websocket.accept"


@contextlib.contextmanager
def _refusals_unlogged() -> Iterator[None]:
    """Keep the refusal that we asked for out of the log; errors stay."""
    loggers = [logging.getLogger(name) for name in ("broadcasting.authorization", "django.request")]
    for logger in loggers:
        logger.addFilter(_is_error)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(_is_error)


def _is_error(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR


def _allowed_host() -> str:
    for host in django_settings.ALLOWED_HOSTS:
        if host and host != "*":
            return str(host).lstrip(".")
    return "localhost"


def _words(messages: Sequence[CheckMessage]) -> tuple[str, str | None]:
    detail = "; ".join(f"{message.id}: {message.msg}" for message in messages)
    hints = " ".join(message.hint for message in messages if message.hint)
    return detail, hints or None
