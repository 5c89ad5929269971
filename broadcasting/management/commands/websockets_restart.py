"""``manage.py websockets_restart``: have every server process of the deployment start anew."""

from __future__ import annotations

import http.client
import socket
import time
from argparse import ArgumentParser
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.core.management.base import BaseCommand, CommandError

from broadcasting.api.restarting import LONGEST
from broadcasting.applications import default_application
from broadcasting.backplanes import control, get_backplane
from broadcasting.broadcasters.pusher.requests import Request, signed
from broadcasting.conf import get_settings
from broadcasting.exceptions import PublishError

URL = "http://127.0.0.1:6001"

TIMEOUT = 10.0
"""Seconds that a server may take to answer."""


class Command(BaseCommand):
    help = "Restart every server process well: sockets are sent away in turns, and return."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--over",
            type=float,
            default=0,
            metavar="SECONDS",
            help="have servers begin at random moments of so long, instead of all at once",
        )
        parser.add_argument(
            "--url",
            help=f"the server, where the 'local' backplane reaches none; default: {URL}",
        )
        parser.add_argument("--uds", metavar="PATH", help="the same, by its unix socket")

    def handle(self, *args: Any, over: float, url: str | None, uds: str | None, **_: Any) -> None:
        if not 0 <= over <= LONGEST:
            raise CommandError(f"--over is a number of seconds from 0 to {LONGEST}.")
        if get_backplane().crosses_processes:
            if url is not None or uds is not None:
                raise CommandError(
                    "Every server hears of it through the backplane: leave --url and --uds out."
                )
            self.tell_all(over)
        else:
            self.tell_one(over, url or URL, uds)

    def tell_all(self, over: float) -> None:
        """Ask through the backplane, which all of them listen to."""
        asked = control.envelope(control.DEPLOYMENT, control.Restart(over=over))
        try:
            get_backplane().publish(asked)
        except PublishError as problem:
            raise CommandError(f"The servers cannot be told: {problem}") from None
        self.stdout.write("Every server of this deployment was told to restart.")

    def tell_one(self, over: float, url: str, uds: str | None) -> None:
        """Ask at the server's own port."""
        parameters = {"over": str(over)}
        request = Request(method="POST", path="/restart", parameters=parameters)
        path, query = signed(default_application(), request, time.time())
        target = f"{get_settings().server.path}{path}?{urlencode(query)}"
        place = uds or url
        try:
            connection = _connection(url, uds)
            connection.request("POST", target, headers={"Content-Length": "0"})
            answer = connection.getresponse()
            said = answer.read(1_000).decode("utf-8", "replace")
            connection.close()
        except (OSError, ValueError, http.client.HTTPException) as problem:
            raise CommandError(
                f"No server answers at {place} ({problem}): --url or --uds says where it is."
            ) from None
        if answer.status != 200:
            raise CommandError(f"The server at {place} will not restart ({answer.status}): {said}")
        self.stdout.write(f"The server at {place} was told to restart.")


def _connection(url: str, uds: str | None) -> http.client.HTTPConnection:
    """Return a connection, not open yet unless it is to a unix socket."""
    if uds is not None:
        connection = http.client.HTTPConnection("localhost", timeout=TIMEOUT)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(TIMEOUT)
        connection.sock.connect(uds)
        return connection
    parts = urlsplit(url if "//" in url else f"//{url}", scheme="http")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("that is no http:// URL")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    return kind(parts.hostname, parts.port, timeout=TIMEOUT)
