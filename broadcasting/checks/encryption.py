"""Checks of encrypted channels: that where they are meant, there is a key to make theirs of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from django.core.checks import CheckMessage, Error, register

from broadcasting.authorization.rules import Route, routes
from broadcasting.channels import EncryptedPrivateChannel
from broadcasting.checks.applications import known_applications
from broadcasting.checks.events import Event, event_classes
from broadcasting.conf import get_settings
from broadcasting.protocol.names import ChannelKind
from broadcasting.wording import name_of


@register("broadcasting")
def check_encrypted_channels(app_configs: object = None, **kwargs: object) -> list[CheckMessage]:
    """E031: encrypted channels that nobody can send to or join."""
    if has_key():
        return []
    return [*keyless([*routes], [*event_classes()])]


def has_key() -> bool:
    """Whether an application or a broadcaster has a master key, or it cannot be known here."""
    options = (entry.options for entry in get_settings().broadcasters.values())
    if any(each.get("encryption_master_key") for each in options):
        return True
    applications = known_applications()
    return applications is None or any(one.encryption_master_key for one in applications)


def keyless(rules: Iterable[Route], events: Iterable[Event]) -> Iterator[CheckMessage]:
    """Yield E031 for what is meant for encrypted channels alone."""
    for rule in rules:
        if rule.kinds == {ChannelKind.ENCRYPTED}:
            yield _without_key(f"The channel rule {rule.name}")
    for event in events:
        said = getattr(event.broadcast_on, "__annotations__", {}).get("return")
        # The class, or its name where annotations are text.
        if EncryptedPrivateChannel.__name__ in str(said):
            yield _without_key(f"The event {name_of(event)}")


def _without_key(what: str) -> Error:
    return Error(
        f"{what} is for encrypted channels, but there is no 'encryption_master_key'.",
        hint="Give one to the application in BROADCASTING['APPLICATIONS'], and the same to the"
        " options of a broadcaster 'pusher'. Make it with: python -c \"import base64, os;"
        ' print(base64.b64encode(os.urandom(32)).decode())"',
        id="broadcasting.E031",
    )
