"""What the project's own modules need: the routes, the ASGI application, ``channels.py``."""

from __future__ import annotations

import ast

from broadcasting.install.project import File
from broadcasting.install.source import NotUnderstood, Source, strings

URLS_BY_HAND = (
    "from django.urls import include, path\n"
    "\n"
    'urlpatterns = [path("broadcasting/", include("broadcasting.urls")), ...]  # the first one'
)

ASGI_BY_HAND = (
    "from broadcasting.asgi import get_application\n"
    "\n"
    "application = get_application(get_asgi_application())  # or round what you have"
)

NEW_ASGI = '''"""The ASGI application: sockets and the site in one."""

import os

from broadcasting.asgi import get_application
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "{settings}")

application = get_application(get_asgi_application())
'''

CHANNELS = '''"""Who may listen to what: one rule for each kind of private and presence channel.

Public channels need no rule. A channel whose name begins with "private-" or "presence-" is
closed to everybody until a rule here, or in the channels.py of an app, opens it. For example:

    from broadcasting import channel

    @channel("orders.{order}")  # Echo.private("orders.1"): the order is fetched by its key
    def order_channel(user, order: Order) -> bool:
        return order.customer_id == user.pk

    @channel("chat.{room_id}")  # Echo.join("chat.7"): what is returned, the others see
    def chat(user, room_id: int):
        return {"id": user.pk, "name": user.get_username()}
"""
'''


def edit_urls(file: File) -> str:
    """Return the text of the root URLconf with our routes in it. Raises NotUnderstood."""
    source = Source(file.text)
    if "broadcasting.urls" in strings(source.tree):
        return file.text
    patterns = source.leftmost("urlpatterns")
    source.import_names("django.urls", ["include", "path"])
    # In front: a pattern that takes every path may stand anywhere behind.
    quote = source.quote
    route = f"path({quote}broadcasting/{quote}, include({quote}broadcasting.urls{quote}))"
    source.prepend_items(patterns, [route])
    return source.result()


def edit_asgi(file: File, variable: str) -> str:
    """Return the text of the ASGI module with ``variable`` wrapped. Raises NotUnderstood."""
    source = Source(file.text)
    if any(_is_ours(node) for node in source.imports()):
        return file.text
    values = source.assigned(variable)
    if not values:
        raise NotUnderstood(f"it does not set {variable!r} in a plain statement")
    source.import_names("broadcasting.asgi", ["get_application"])
    source.insert(source.start(values[-1]), "get_application(")
    source.insert(source.end(values[-1]), ")")
    return source.result()


def _is_ours(node: ast.Import | ast.ImportFrom) -> bool:
    ours = ("broadcasting.asgi", "broadcasting.routing")
    if isinstance(node, ast.ImportFrom):
        modules = {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    else:
        modules = {alias.name for alias in node.names}
    return any(module in ours for module in modules)
