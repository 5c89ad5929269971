"""``manage.py websockets_serve``: sockets, the HTTP API and the site on uvicorn."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from channels.routing import get_default_application
from django.apps import apps
from django.conf import settings
from django.core.management.base import BaseCommand

from broadcasting.asgi import get_application, quick_answers, serve_whole
from broadcasting.conf import get_settings


class Command(BaseCommand):
    help = "Serve sockets and the HTTP API (and the site, with ASGI_APPLICATION) on uvicorn."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--host", default="127.0.0.1", help="address to listen on; default: %(default)s"
        )
        parser.add_argument(
            "--port", type=int, default=6001, help="port to listen on; default: %(default)s"
        )
        parser.add_argument(
            "--log-level",
            default="warning",
            choices=["critical", "error", "warning", "info", "debug"],
            help="uvicorn's log level; from info on it writes a line for each socket",
        )

    def handle(self, *args: Any, host: str, port: int, log_level: str, **options: Any) -> None:
        # Not at the top: `manage.py help` must not pay for a server.
        from broadcasting.server.serve import configuration, run

        what = "The site, sockets" if self.site() else "Sockets"

        def announce() -> None:
            self.stdout.write(f"{what} and the HTTP API are on http://{host}:{port}")
            self.stdout.write("Stop with Control-C.")
            self.stdout.flush()

        server = get_settings().server
        application = self.application()
        config = configuration(
            application,
            host=host,
            port=port,
            drain_seconds=server.drain_seconds,
            log_level=log_level,
            quick=quick_answers(application),
        )
        run(config, announce, patience=server.pong_timeout)

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
