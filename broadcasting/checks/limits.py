"""Checks of limits that get in each other's way, and of whose word is taken for an address."""

from __future__ import annotations

import os
from collections.abc import Iterator
from ipaddress import ip_network

from django.conf import settings as django_settings
from django.core.checks import CheckMessage, register
from django.core.checks import Warning as CheckWarning

from broadcasting.checks.applications import known_applications
from broadcasting.conf import get_settings
from broadcasting.protocol.application import Application


@register("broadcasting")
def check_limits(app_configs: object = None, **kwargs: object) -> list[CheckMessage]:
    """W040 and W041: a limit that another one makes useless."""
    found: list[CheckMessage] = []
    for application in known_applications() or ():
        found += [*_slow_whispers(application), *_long_messages(application)]
    return found


@register("broadcasting")
def check_proxies(app_configs: object = None, **kwargs: object) -> list[CheckMessage]:
    """W042: a variable of uvicorn's that means nothing here."""
    if not os.environ.get("FORWARDED_ALLOW_IPS"):
        return []
    return [
        CheckWarning(
            "FORWARDED_ALLOW_IPS is set, which websockets_serve does not read.",
            hint="List the proxies in BROADCASTING['SERVER']['TRUSTED_PROXIES'], by address or"
            " network. If another server reads the variable, silence this check.",
            id="broadcasting.W042",
        )
    ]


@register("broadcasting", deploy=True)
def check_origins(app_configs: object = None, **kwargs: object) -> list[CheckMessage]:
    """W044: pages of any site may connect, and nobody has said so."""
    if "*" not in django_settings.ALLOWED_HOSTS:
        return []
    open_to_all = [a.id for a in known_applications() or () if a.allowed_origins is None]
    return [
        CheckWarning(
            f"ALLOWED_HOSTS has '*', so that pages of any site may open sockets of {app_id!r}.",
            hint="List the hosts, or give the application 'allowed_origins': ['*'] there says that"
            " it is meant.",
            id="broadcasting.W044",
        )
        for app_id in open_to_all
    ]


@register("broadcasting", deploy=True)
def check_trust(app_configs: object = None, **kwargs: object) -> list[CheckMessage]:
    """W043: everybody is a proxy."""
    trusted = get_settings().server.trusted_proxies
    if all(ip_network(entry).prefixlen for entry in trusted):
        return []
    return [
        CheckWarning(
            "BROADCASTING['SERVER']['TRUSTED_PROXIES'] trusts everybody: a client can claim any"
            " address, and to have come over TLS.",
            hint="List the networks that your proxies really are in, such as '10.0.0.0/8'.",
            id="broadcasting.W043",
        )
    ]


def _slow_whispers(application: Application) -> Iterator[CheckMessage]:
    messages, whispers = (
        application.max_messages_per_second,
        application.max_client_events_per_second,
    )
    if messages is None or not application.enable_client_events:
        return
    if whispers is None or whispers > messages:
        yield CheckWarning(
            f"Application {application.id!r} allows {whispers or 'any number of'} client events a"
            f" second, but 'max_messages_per_second' holds a socket back from {messages} on.",
            hint="Raise 'max_messages_per_second' above 'max_client_events_per_second', or set"
            " both to None.",
            id="broadcasting.W040",
        )


def _long_messages(application: Application) -> Iterator[CheckMessage]:
    limit = get_settings().server.max_frame_bytes
    if application.max_message_size > limit:
        yield CheckWarning(
            f"Application {application.id!r} allows messages of {application.max_message_size}"
            f" bytes, but no server process reads more than {limit}.",
            hint="Raise BROADCASTING['SERVER']['MAX_FRAME_BYTES'], or lower 'max_message_size'.",
            id="broadcasting.W041",
        )
