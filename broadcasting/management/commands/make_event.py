"""``manage.py make_event``: an event to begin with."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.db.models import Model

from broadcasting.management import stubs
from broadcasting.management.tables import shown

PLAIN = '''class {name}(ShouldBroadcast):
    """Say here what has happened."""

    message: str = ""

    def broadcast_on(self) -> Channel:
        return PrivateChannel("{channel}")
'''

WITH_MODEL = '''class {name}(ShouldBroadcast):
    """Say here what has happened to the {noun}."""

    {field}: {model}

    class Meta:
        # What of it may leave.
        fields: ClassVar = {{"{field}": ["{pk}"]}}

    def broadcast_on(self) -> Channel:
        return PrivateChannel(self.{field})
'''


class Command(BaseCommand):
    help = "Write an event into events.py of an app."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="of the class, such as OrderShipped")
        parser.add_argument("app", help="label of the app")
        parser.add_argument("--model", help="what it is about: Order, or other_app.Order")
        parser.add_argument("--force", action="store_true", help="replace a class of that name")

    def handle(
        self, *args: Any, name: str, app: str, model: str | None, force: bool, **options: Any
    ) -> None:
        config = stubs.app_of(app)
        found = None if model is None else stubs.model_of(config, model)
        stub = stub_of(stubs.class_name(name), config.label, found)
        path = stubs.write(config, "events", stub, force=force)
        self.stdout.write(f"{shown(path)}: {name} was written. Send it: {name}(...).dispatch()")


def stub_of(name: str, app: str, model: type[Model] | None) -> stubs.Stub:
    """Return the class."""
    imports = {"broadcasting": ["Channel", "PrivateChannel", "ShouldBroadcast"]}
    if model is None:
        code = PLAIN.format(name=name, channel=stubs.snake(name).replace("_", "-"))
    else:
        imports |= {"typing": ["ClassVar"], model.__module__: [model.__name__]}
        code = WITH_MODEL.format(
            name=name,
            field=stubs.snake(model.__name__),
            noun=model._meta.verbose_name,
            model=model.__name__,
            pk=model._meta.pk.name,
        )
    docstring = f"Events of {app}: what browsers are told."
    return stubs.Stub(name=name, code=code, imports=imports, docstring=docstring)
