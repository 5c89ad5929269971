"""What the settings need: apps, middleware, the ASGI application, ``BROADCASTING``.

No credentials are written. Without ``APPLICATIONS`` the one application derives its secret
from ``SECRET_KEY``, so there is nothing to leak through a commit.
"""

from __future__ import annotations

from broadcasting.install.project import File
from broadcasting.install.source import NotUnderstood, Sequence, Source, strings

APPS = ("daphne", "channels", "broadcasting")
STATIC = "django.contrib.staticfiles"
MIDDLEWARE = "broadcasting.middleware.SocketIdMiddleware"

BLOCK = """

# Broadcasting

BROADCASTING = {
    # The process that serves the site holds the sockets as well: right for runserver. With
    # several processes: {"BACKEND": "redis", "OPTIONS": {"url": "redis://localhost:6379/0"}}.
    "BACKPLANE": {"BACKEND": "local"},
    # Events are sent at once; "celery" and "tasks" hand them to a worker.
    "QUEUE": {"BACKEND": "sync"},
    # One application, with the key "app-key" and a secret that is made from SECRET_KEY. With
    # credentials of your own, keep the secret in the environment:
    # "APPLICATIONS": [{"id": "1", "key": "...", "secret": os.environ["BROADCASTING_SECRET"]}],
}
"""


def by_hand(asgi: str) -> str:
    """Return what to write where the settings cannot be edited."""
    apps = ", ".join(f'"{app}"' for app in APPS)
    return (
        f"INSTALLED_APPS = [{apps}, ...]  # these first\n"
        f'MIDDLEWARE = [..., "{MIDDLEWARE}"]\n'
        f'ASGI_APPLICATION = "{asgi}"\n'
        'BROADCASTING = {"BACKPLANE": {"BACKEND": "local"}, "QUEUE": {"BACKEND": "sync"}}'
    )


def edit(files: list[File], asgi: str) -> list[tuple[File, str]]:
    """Return the new texts of those ``files`` (outermost first) that have to change.

    ``asgi`` is the dotted path of the ASGI application. Raises NotUnderstood.
    """
    sources = [Source(file.text) for file in files]
    home = _apps(sources)
    _middleware(sources)
    if not any(source.binds("ASGI_APPLICATION") for source in sources):
        _asgi_application(home, asgi)
    if not any(source.binds("BROADCASTING") for source in sources):
        home.append(BLOCK if home.quote == '"' else _single_quoted(BLOCK))
    results = [(file, source.result()) for file, source in zip(files, sources, strict=True)]
    return [(file, text) for file, text in results if text != file.text]


def _apps(sources: list[Source]) -> Source:
    home, sequence = _find("INSTALLED_APPS", sources)
    there = _strings("INSTALLED_APPS", sources)
    missing = [app for app in APPS if not _lists(there, app)]
    items = [home.quote + app + home.quote for app in missing]
    order = [value for value in sequence.elts if strings(value)]
    daphne = next((value for value in order if _lists(strings(value), "daphne")), None)
    static = next((value for value in order if _lists(strings(value), STATIC)), None)
    if daphne and static and order.index(static) < order.index(daphne):
        raise NotUnderstood(f"'daphne' has to stand in front of {STATIC!r}")
    if items and daphne:
        home.insert_behind(sequence, daphne, items)
    elif items:
        home.prepend_items(sequence, items)
    return home


def _middleware(sources: list[Source]) -> None:
    home, sequence = _find("MIDDLEWARE", sources)
    if MIDDLEWARE not in _strings("MIDDLEWARE", sources):
        home.append_items(sequence, [home.quote + MIDDLEWARE + home.quote])


def _asgi_application(home: Source, dotted: str) -> None:
    line = f"ASGI_APPLICATION = {home.quote}{dotted}{home.quote}\n"
    for neighbour in ("WSGI_APPLICATION", "ROOT_URLCONF"):
        if values := home.assigned(neighbour):
            if (end := values[-1].end_lineno) is not None:
                home.insert(home.after_line(end), line)
            return
    home.append("\n" + line)


def _find(name: str, sources: list[Source]) -> tuple[Source, Sequence]:
    for source in sources:
        try:
            return source, source.leftmost(name)
        except NotUnderstood as error:
            # A file that only adds to the list leaves the beginning to those it imports.
            problem = error
    raise problem


def _strings(name: str, sources: list[Source]) -> set[str]:
    return {text for source in sources for text in source.strings_in(name)}


def _lists(entries: set[str], app: str) -> bool:
    """Whether ``app`` is there, by its name or by its configuration's."""
    return any(entry == app or entry.startswith(f"{app}.apps.") for entry in entries)


def _single_quoted(text: str) -> str:
    return text.replace('"', "'")
