"""``manage.py websockets_serve``: sockets, the HTTP API and the site on uvicorn."""

from __future__ import annotations

import asyncio
import os
from argparse import ArgumentParser
from contextlib import closing
from typing import TYPE_CHECKING, Any

from channels.routing import get_default_application
from django.apps import apps
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils.autoreload import get_child_arguments

from broadcasting.asgi import get_application, quick_answers, serve_whole
from broadcasting.checks.workers import lack_of_workers
from broadcasting.conf import get_settings

if TYPE_CHECKING:
    from ssl import SSLContext

    from broadcasting.server.listening import Listening
    from broadcasting.server.worker import Assignment, Line

HOST = "127.0.0.1"
PORT = 6001

LAST_SECONDS = 10.0
"""What a worker may take beyond its drain before its parent kills it."""


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
            "--workers",
            type=int,
            default=1,
            metavar="N",
            help="hold the sockets in so many processes; needs a backplane that crosses them",
        )
        parser.add_argument(
            "--log-level",
            default="warning",
            choices=["critical", "error", "warning", "info", "debug"],
            help="uvicorn's log level; from info on it writes a line for each socket",
        )

    def execute(self, *args: Any, **options: Any) -> str | None:
        # Late: each of the modules is a server's, for which `manage.py help` must not pay.
        from broadcasting.server.worker import assignment

        given = assignment()
        if given is not None and given.checked:
            options["skip_checks"] = True
        return super().execute(*args, given=given, **options)

    def handle(
        self, *args: Any, given: Assignment | None = None, workers: int, **options: Any
    ) -> None:
        from broadcasting.server.listening import CannotListen

        if workers < 1:
            raise CommandError("There must be a worker: give --workers a number above 0.")
        try:
            certificate = self.certificate(**options)
            if given is not None:
                self.work(given, certificate, options["log_level"])
            elif workers > 1:
                self.supervise(workers, certificate is not None, options)
            else:
                application = self.application()
                with closing(self.listening(**options)) as listening:
                    self.serve(application, listening, certificate, options["log_level"])
        except CannotListen as problem:
            raise CommandError(str(problem)) from None

    def supervise(self, workers: int, encrypted: bool, options: dict[str, Any]) -> None:
        """Keep so many processes that serve until told to stop."""
        from broadcasting.server.limits import capacity, raise_file_limit
        from broadcasting.server.supervisor import CannotStart, Pace, Supervisor

        if not hasattr(os, "fork"):
            raise CommandError("This system has no workers: serve with one process.")
        if (problem := lack_of_workers()) is not None:
            raise CommandError(f"({problem.id}) {problem.msg}\n\tHINT: {problem.hint}")
        try:
            command = get_child_arguments()
        except RuntimeError:
            raise CommandError(
                "Workers are started as this process was, which is neither a script nor a module:"
                " call manage.py."
            ) from None
        files = raise_file_limit()
        listenings = self.listenings(workers, **options)

        def announce() -> None:
            where = listenings[0].named("https" if encrypted else "http")
            self.stdout.write(f"{self.what()} are on {where}, held by {workers} workers.")
            self.announce_capacity(files, capacity(files), "Each", "a")
            self.stdout.write("Stop with Control-C.")
            self.stdout.flush()

        server = get_settings().server
        pace = Pace(drain=server.drain_delay + server.drain_seconds + LAST_SECONDS)
        try:
            asyncio.run(Supervisor(command, listenings, announce, pace).run())
        except CannotStart as problem:
            raise CommandError(str(problem)) from None

    def work(self, given: Assignment, certificate: SSLContext | None, log_level: str) -> None:
        """Serve as one of several, until the parent says stop, or is gone."""
        from broadcasting.server.worker import Line

        line = Line(given)
        with closing(given.listening()) as listening:
            self.serve(self.application(), listening, certificate, log_level, line)

    def listenings(
        self, workers: int, host: str | None, port: int | None, **options: Any
    ) -> list[Listening]:
        """Return what each of several workers listens on, bound."""
        from broadcasting.server.listening import on_shared_port

        if options["uds"] is not None or options["fd"] is not None:
            return [self.listening(host=host, port=port, **options)] * workers
        host, port = HOST if host is None else host, PORT if port is None else port
        return on_shared_port(host, port, workers)

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
        line: Line | None = None,
    ) -> None:
        """Run the server until it is told to stop, by the parent at ``line`` if there is one."""
        from broadcasting.server.limits import Door, capacity, raise_file_limit
        from broadcasting.server.serve import SocketServer, configuration, run

        files = raise_file_limit()
        fits = capacity(files)

        def announce() -> None:
            if line is not None:
                line.attach(running)
                return
            where = listening.named("https" if certificate else "http")
            self.stdout.write(f"{self.what()} are on {where}")
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
        restart = line.ask_restart if line is not None else None
        running = SocketServer(config, listening, announce, patience, certificate, door, restart)
        run(running)

    def what(self) -> str:
        """Return what is served, for people."""
        return f"{'The site, sockets' if self.site() else 'Sockets'} and the HTTP API"

    def announce_capacity(
        self, files: int | None, fits: int | None, who: str = "It", which: str = "this"
    ) -> None:
        """Say how many sockets fit, and what to do where that is few."""
        from broadcasting.server.limits import CURE, FEW

        if files is None or fits is None:
            return
        self.stdout.write(
            f"{who} holds up to {fits:,} sockets: {which} process may open {files:,} files."
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
