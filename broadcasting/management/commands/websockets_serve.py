"""``manage.py websockets_serve``: sockets, the HTTP API and the site on uvicorn."""

from __future__ import annotations

from argparse import ArgumentParser
from contextlib import closing
from typing import TYPE_CHECKING, Any

from channels.routing import get_default_application
from django.apps import apps
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from broadcasting.asgi import get_application, quick_answers, serve_whole
from broadcasting.conf import get_settings

if TYPE_CHECKING:
    from ssl import SSLContext

    from broadcasting.server.listening import Listening

HOST = "127.0.0.1"
PORT = 6001


class Command(BaseCommand):
    help = "Serve sockets and the HTTP API (and the site, with ASGI_APPLICATION) on uvicorn."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", help=f"address to listen on; default: {HOST}")
        parser.add_argument("--port", type=int, help=f"port to listen on; default: {PORT}")
        parser.add_argument("--uds", metavar="PATH", help="listen on a unix socket instead")
        parser.add_argument(
            "--fd",
            type=int,
            help="listen on an open socket instead, such as systemd's first one, 3",
        )
        parser.add_argument(
            "--certfile", help="serve https and wss: the certificate, and its chain, as PEM"
        )
        parser.add_argument("--keyfile", help="its private key; default: in --certfile too")
        parser.add_argument("--keyfile-password", help="what opens the private key")
        parser.add_argument(
            "--log-level",
            default="warning",
            choices=["critical", "error", "warning", "info", "debug"],
            help="uvicorn's log level; from info on it writes a line for each socket",
        )

    def handle(self, *args: Any, log_level: str, **options: Any) -> None:
        # Not at the top: `manage.py help` must not pay for a server.
        from broadcasting.server.listening import CannotListen

        try:
            certificate = self.certificate(**options)
            application = self.application()
            with closing(self.listening(**options)) as listening:
                self.serve(application, listening, certificate, log_level)
        except CannotListen as problem:
            raise CommandError(str(problem)) from None

    def certificate(
        self, certfile: str | None, keyfile: str | None, keyfile_password: str | None, **_: Any
    ) -> SSLContext | None:
        """Return what the options about TLS come to."""
        from broadcasting.server.tls import context

        if certfile is not None:
            return context(certfile, keyfile, keyfile_password)
        if keyfile is not None or keyfile_password is not None:
            raise CommandError("A key is of no use without its certificate: give --certfile too.")
        return None

    def listening(
        self, host: str | None, port: int | None, uds: str | None, fd: int | None, **_: Any
    ) -> Listening:
        """Return what the options about the place come to, bound."""
        from broadcasting.server.listening import at_path, handed, on_port

        port_given = host is not None or port is not None
        given = [port_given, uds is not None, fd is not None]
        if sum(given) > 1:
            raise CommandError(
                "The server listens in one place: give --host and --port, or --uds, or --fd."
            )
        if uds is not None:
            return at_path(uds)
        if fd is not None:
            return handed(fd)
        return on_port(HOST if host is None else host, PORT if port is None else port)

    def serve(
        self,
        application: Any,
        listening: Listening,
        certificate: SSLContext | None,
        log_level: str,
    ) -> None:
        """Run the server until it is told to stop."""
        from broadcasting.server.limits import Door, capacity, raise_file_limit
        from broadcasting.server.serve import SocketServer, configuration, run

        files = raise_file_limit()
        fits = capacity(files)

        def announce() -> None:
            what = "The site, sockets" if self.site() else "Sockets"
            where = listening.named("https" if certificate else "http")
            self.stdout.write(f"{what} and the HTTP API are on {where}")
            self.announce_capacity(files, fits)
            self.stdout.write("Stop with Control-C.")
            self.stdout.flush()

        door = Door(fits)
        server = get_settings().server
        config = configuration(
            application,
            drain_seconds=server.drain_seconds,
            log_level=log_level,
            quick=quick_answers(application),
            door=door,
        )
        patience = server.pong_timeout
        run(SocketServer(config, listening, announce, patience, certificate, door))

    def announce_capacity(self, files: int | None, fits: int | None) -> None:
        """Say how many sockets fit, and what to do where that is few."""
        from broadcasting.server.limits import CURE, FEW

        if files is None or fits is None:
            return
        self.stdout.write(
            f"It holds up to {fits:,} sockets: this process may open {files:,} files."
        )
        if fits < FEW:
            self.stderr.write(self.style.WARNING(f"That is few: {CURE}."))

    def application(self) -> Any:
        """Return what to serve: the project's application, with sockets in front at need."""
        if not self.site():
            return get_application()
        application = serve_whole(get_default_application())
        if settings.DEBUG and apps.is_installed("django.contrib.staticfiles"):
            from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler

            return ASGIStaticFilesHandler(application)  # type: ignore[arg-type]  # any ASGI app
        return application

    def site(self) -> str | None:
        """Return the dotted path of the project's ASGI application, if it has one."""
        return getattr(settings, "ASGI_APPLICATION", None)
