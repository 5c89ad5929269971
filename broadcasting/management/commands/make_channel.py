"""``manage.py make_channel``: the rule of a channel to begin with. It lets nobody in yet."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError
from django.db.models import Model

from broadcasting.authorization.patterns import InvalidPattern, compile_pattern
from broadcasting.authorization.rules import model_pattern
from broadcasting.management import stubs
from broadcasting.management.tables import shown

CODE = '''@channel({pattern})
class {name}(ChannelRoute):
    """Who may join {example}, private or presence."""

    def join(self, user: {user}{parameters}) -> bool | dict[str, Any]:
        # True lets the user in, a dict too: on a presence channel the others see it.
        return False
'''


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
    try:
        placeholders = compile_pattern(text).placeholders
    except InvalidPattern as error:
        raise CommandError(f"--pattern: {error}") from error
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
        imports.setdefault(known.__module__, []).append(known.__name__)
        user = known.__name__
    code = CODE.format(
        pattern=model.__name__ if model is not None else f'"{text}"',
        name=name,
        example=f"``{text}``",
        user=user,
        parameters="".join(f", {each}: {_kind(each, kind)}" for each in placeholders),
    )
    docstring = f"Who may join the channels of {app}."
    return stubs.Stub(name=name, code=code, imports=imports, docstring=docstring)


def _kind(placeholder: str, kind: str) -> str:
    is_key = kind != "int" or placeholder in ("pk", "id") or placeholder.endswith(("_pk", "_id"))
    return kind if is_key else "str"
