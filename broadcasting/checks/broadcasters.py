"""Checks of what sends: that it can be made of its options, and whether these can be guessed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage, Error, register

from broadcasting.broadcasters import BaseBroadcaster, OptionError, broadcasters
from broadcasting.broadcasters.channels import ChannelsBroadcaster
from broadcasting.checks.applications import known_applications
from broadcasting.checks.families import unusable
from broadcasting.checks.secrets import useless_key, weak_key, weak_secret
from broadcasting.conf import get_settings, problems

MASTER_KEY = "encryption_master_key"


@register("broadcasting")
def check_broadcasters(app_configs: object = None, **kwargs: object) -> list[CheckMessage]:
    """E001, E002, E003, E004, E015 and E016: what sends."""
    return [*_default_alias(), *_broadcasters()]


@register("broadcasting", deploy=True)
def check_secrets_of_broadcasters(
    app_configs: object = None, **kwargs: object
) -> list[CheckMessage]:
    """W026: secrets of other servers that everybody knows or that can be guessed."""
    return [*_weak_secrets()]


def _default_alias() -> Iterator[CheckMessage]:
    settings = get_settings()
    alias, known = settings.default_broadcaster, settings.broadcasters
    # A malformed BROADCASTERS is said elsewhere; what it would have held is not known here.
    if alias in known or any(p.path.startswith("BROADCASTERS") for p in problems()):
        return
    yield Error(
        f"BROADCASTING['DEFAULT_BROADCASTER'] is {alias!r}, which BROADCASTERS lacks.",
        hint=f"Use one of {', '.join(map(repr, known))}, or add {alias!r} to BROADCASTERS.",
        id="broadcasting.E001",
    )


def _broadcasters() -> Iterator[CheckMessage]:
    for alias in get_settings().broadcasters:
        place = f"BROADCASTING['BROADCASTERS'][{alias!r}]"
        try:
            broadcaster = broadcasters[alias]
        except OptionError as error:
            yield _bad_option(place, error)
        except Exception as error:  # a backend of somebody else's raises what it likes
            yield unusable(place, error)
        else:
            yield from _more(place, broadcaster)


def _bad_option(place: str, error: OptionError) -> Error:
    said = f"{place}['OPTIONS'][{error.option!r}] of {error.driver!r} {error.problem}."
    if error.option == MASTER_KEY:
        return Error(
            said,
            hint='Make one with: python -c "import base64, os;'
            ' print(base64.b64encode(os.urandom(32)).decode())"',
            id="broadcasting.E004",
        )
    return Error(
        said,
        hint="The settings page of the documentation lists the options of each backend. What"
        " comes from the environment is text there, and nothing if the variable is missing.",
        id="broadcasting.E003",
    )


def _more(place: str, broadcaster: BaseBroadcaster) -> Iterator[CheckMessage]:
    if isinstance(broadcaster, ChannelsBroadcaster):
        yield from _application_of(place, broadcaster.options.get("application"))
    elif useless_key(broadcaster.options.get(MASTER_KEY)):
        yield Error(
            f"{place} has an {MASTER_KEY!r}, but PyNaCl is not installed: nothing can be sent to"
            " encrypted channels.",
            hint="pip install 'django-broadcasting[encryption]', or take the key out.",
            id="broadcasting.E016",
        )


def _application_of(place: str, app_id: str | None) -> Iterator[CheckMessage]:
    if app_id is None:
        return
    applications = known_applications()
    if applications is None:
        return
    known = [application.id for application in applications]
    if app_id not in known:
        yield Error(
            f"{place}: no application has the id {app_id!r}.",
            hint=f"'application' in OPTIONS is the id of one of BROADCASTING['APPLICATIONS']:"
            f" {', '.join(map(repr, known))}.",
            id="broadcasting.E015",
        )


def _weak_secrets() -> Iterator[CheckMessage]:
    for alias, entry in get_settings().broadcasters.items():
        place = f"BROADCASTING['BROADCASTERS'][{alias!r}]['OPTIONS']"
        options: dict[str, Any] = dict(entry.options)
        if str(options.get("secret", "")).strip():  # one of blanks is E003
            yield from weak_secret(f"{place}['secret']", options.get("secret"))
        yield from weak_key(f"{place}[{MASTER_KEY!r}]", options.get(MASTER_KEY))
