"""``manage.py make_channel``: the rule of a channel to begin with. It lets nobody in yet."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError
from django.db.models import Model
from django.urls.converters import IntConverter, UUIDConverter

from broadcasting.authorization.patterns import InvalidPattern, Placeholder, compile_pattern
from broadcasting.authorization.rules import model_pattern
from broadcasting.management import stubs
from broadcasting.management.tables import shown
from broadcasting.protocol.names import is_channel_name

CODE = '''@channel({pattern})
class {name}(ChannelRoute):
    """Who may join {example}, private or presence."""

    def join(self, {visitor}: {user}{parameters}) -> bool | dict[str, Any]:
        # True lets the {visitor} in, a dict too: on a presence channel the others see it.
        return False
'''

_CONVERTED = {IntConverter: "int", UUIDConverter: "UUID"}


class Command(BaseCommand):
    help = "Write the rule of a channel, as a class, into channels.py of an app."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="of the class, such as OrderChannel")
        parser.add_argument("app", help="label of the app")
        what = parser.add_mutually_exclusive_group()
        what.add_argument(
            "--pattern", help="channel names without their prefix, such as orders.{order_id}"
        )
        what.add_argument("--model", help="whose own channel it is: Order, or other_app.Order")
        parser.add_argument("--force", action="store_true", help="replace a class of that name")

    def handle(
        self,
        *args: Any,
        name: str,
        app: str,
        pattern: str | None,
        model: str | None,
        force: bool,
        **options: Any,
    ) -> None:
        config = stubs.app_of(app)
        found = None if model is None else stubs.model_of(config, model)
        stub = stub_of(stubs.class_name(name), config.label, pattern, found)
        path = stubs.write(config, "channels", stub, force=force)
        self.stdout.write(
            f"{shown(path)}: {name} was written. It lets nobody in until join() says otherwise."
        )


def stub_of(name: str, app: str, pattern: str | None, model: type[Model] | None) -> stubs.Stub:
    """Return the class. Raises CommandError for a pattern that is none."""
    subject = stubs.snake(name.removesuffix("Channel") or name)
    text = model_pattern(model) if model is not None else pattern or f"{subject}.{{{subject}_id}}"
    placeholders = _placeholders(text)
    imports: dict[str, list[str]] = {
        "typing": ["Any"],
        "broadcasting": ["ChannelRoute", "channel"],
    }
    kind = "int"
    if model is not None:
        imports[model.__module__] = [model.__name__]
        kind = model.__name__
    user = "Any"
    if apps.is_installed("django.contrib.auth"):
        # Its models must not be imported without it.
        from django.contrib.auth import get_user_model

        known = get_user_model()
        names = imports.setdefault(known.__module__, [])
        if known is not model:
            names.append(known.__name__)
        user = known.__name__
    kinds = {name: _kind(each, kind) for name, each in placeholders.items()}
    if "UUID" in kinds.values():
        imports["uuid"] = ["UUID"]
    code = CODE.format(
        pattern=model.__name__ if model is not None else f'"{text}"',
        name=name,
        example=f"``{text}``",
        # What stands in the channel's name may be a user itself.
        visitor="visitor" if "user" in placeholders else "user",
        user=user,
        parameters="".join(f", {name}: {each}" for name, each in kinds.items()),
    )
    docstring = f"Who may join the channels of {app}."
    return stubs.Stub(name=name, code=code, imports=imports, docstring=docstring)


def _placeholders(text: str) -> Mapping[str, Placeholder]:
    try:
        pattern = compile_pattern(text)
    except InvalidPattern as error:
        raise CommandError(f"--pattern: {error}") from error
    if not is_channel_name(pattern.fill(dict.fromkeys(pattern.placeholders, "x"))):
        raise CommandError(
            f"--pattern: {text!r} never matches; channel names are A-Z a-z 0-9 _ - = @ , . ;"
        )
    if "self" in pattern.placeholders:
        raise CommandError("--pattern: {self} needs another name, as join() has that already")
    return pattern.placeholders


def _kind(placeholder: Placeholder, kind: str) -> str:
    if placeholder.converter is not None:
        return _CONVERTED.get(type(placeholder.converter), "str")
    name = placeholder.name
    is_key = kind != "int" or name in ("pk", "id") or name.endswith(("_pk", "_id"))
    return kind if is_key else "str"
