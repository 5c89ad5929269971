"""Use an installed package where nothing of this repository is importable.

Run as a script, by a Python that has the wheel and no test tools: ``./dev check`` runs it beside
all dependencies, the ``core`` session of the matrix with ``--core-only`` beside none of the
drivers' libraries.
"""

import importlib.util
import sys

import django
from django.conf import settings
from django.core.management import call_command, get_commands, load_command_class
from django.urls import URLPattern, URLResolver, include, path

import broadcasting

DRIVERS = (
    "celery",
    "channels_redis",
    "daphne",
    "httpx2",
    "jwt",
    "nacl",
    "redis",
    "rest_framework",
    "rich",
    "uvicorn",
    "websockets",
)

settings.configure(
    SECRET_KEY="only-for-this-run-" + "x" * 40,
    ALLOWED_HOSTS=["localhost"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "channels",
        "broadcasting",
    ],
    MIDDLEWARE=["broadcasting.middleware.SocketIdMiddleware"],
    BROADCASTING={
        "APPLICATIONS": [{"id": "app", "key": "app-key", "secret": "app-secret"}],
    },
)


urlpatterns: list[URLPattern | URLResolver] = []


def main(arguments: list[str]) -> int:
    """Import every public name and command, pass the system checks, broadcast in memory."""
    if "--core-only" in arguments:
        found = [name for name in DRIVERS if importlib.util.find_spec(name)]
        assert not found, f"not a bare core: {found}"
    django.setup()
    urlpatterns.append(path("broadcasting/", include("broadcasting.urls")))
    for name in broadcasting.__all__:
        getattr(broadcasting, name)
    for name, app in get_commands().items():
        if app == "broadcasting":
            load_command_class(app, name)
    call_command("check", fail_level="WARNING")
    broadcast_in_memory()
    print(f"broadcasting {broadcasting.__version__} on Django {django.__version__} works")
    return 0


def broadcast_in_memory() -> None:
    """Dispatch an event and receive it on a socket of the real consumer."""
    # Both read the settings, so they come after them.
    from broadcasting import Channel, ShouldBroadcast
    from broadcasting.testing import PusherClient

    class SmokeRose(ShouldBroadcast):
        height: int

        def broadcast_on(self) -> Channel:
            return Channel("chimneys")

    with PusherClient() as client:
        client.subscribe("chimneys")
        SmokeRose(height=3).dispatch()
        assert client.receive().data == {"height": 3}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
