"""Checks of the backends that the settings name: that they are there, and fit each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from channels.layers import InMemoryChannelLayer
from django.core.checks import CheckMessage, Error, register
from django.core.checks import Warning as CheckWarning
from django.core.exceptions import ImproperlyConfigured

from broadcasting.applications import get_applications
from broadcasting.backplanes import BaseBackplane, get_backplane
from broadcasting.backplanes.channel_layer import ChannelLayerBackplane
from broadcasting.broadcasters import broadcasters
from broadcasting.broadcasters.channels import ChannelsBroadcaster
from broadcasting.conf import get_settings
from broadcasting.queues import SHORT_NAMES as QUEUES
from broadcasting.queues import BaseQueue, get_queue
from broadcasting.registry import get_registry

T = TypeVar("T")


@register("broadcasting")
def check_families(app_configs: object = None, **kwargs: object) -> list[CheckMessage]:
    """E002, E008, E009, W018 and W020: what carries, keeps and queues."""
    found: list[CheckMessage] = []
    backplane = _made("BACKPLANE", get_backplane, found)
    registry = _made("REGISTRY", get_registry, found)
    queue = _made("QUEUE", get_queue, found)
    if isinstance(get_settings().applications, str):
        _made("APPLICATIONS", get_applications, found)
    if isinstance(backplane, ChannelLayerBackplane):
        found += _layer(backplane)
    if backplane and queue:
        found += _reach(backplane, queue)
    if backplane and registry and backplane.crosses_processes and not registry.crosses_processes:
        found.append(
            CheckWarning(
                "Events cross processes, but the registry does not: who is in a presence"
                " channel, and how many are in any channel, is known per server process.",
                hint="Use REGISTRY = {'BACKEND': 'redis', 'OPTIONS': {'url': ...}}; with the"
                " backplane 'redis' leave REGISTRY out. All is well while one server process"
                " holds all sockets: silence this check then.",
                id="broadcasting.W018",
            )
        )
    if queue and get_settings().queue.backend in ("celery", QUEUES["celery"]):
        found += _broker()
    return found


def _made(setting: str, make: Callable[[], T], found: list[CheckMessage]) -> T | None:
    try:
        return make()
    except Exception as error:  # a backend of somebody else's raises what it likes
        found.append(unusable(f"BROADCASTING['{setting}']", error))
        return None


def unusable(place: str, error: Exception) -> Error:
    """Return E002 for a backend that cannot be made."""
    said = str(error)
    if not isinstance(error, ImproperlyConfigured):
        said = f"{type(error).__name__}: {said}"
    return Error(
        said if said.startswith("BROADCASTING") else f"{place}: {said}",
        hint="BACKEND is a short name or the dotted path of a class that takes OPTIONS;"
        " the settings page of the documentation lists both.",
        id="broadcasting.E002",
    )


def _reach(backplane: BaseBackplane, queue: BaseQueue) -> Iterator[CheckMessage]:
    if backplane.crosses_processes or not queue.leaves_process or queue.runs_beside_sockets:
        return
    if not _uses_backplane():
        return
    yield Error(
        "The queue runs jobs in other processes, and the backplane does not leave its own:"
        " no event would reach a socket.",
        hint="Let events cross processes with BACKPLANE = {'BACKEND': 'redis', 'OPTIONS': {'url':"
        " ...}}, or 'channel_layer' and a Redis channel layer. Or stay in one process with"
        " QUEUE = {'BACKEND': 'sync'}, or publish over HTTP with the broadcaster 'pusher'.",
        id="broadcasting.E008",
    )


def _uses_backplane() -> bool:
    for alias in get_settings().broadcasters:
        try:
            if isinstance(broadcasters[alias], ChannelsBroadcaster):
                return True
        except Exception:  # noqa: S112 - said by check_broadcasters
            continue
    return False


def _layer(backplane: ChannelLayerBackplane) -> Iterator[CheckMessage]:
    try:
        layer = backplane.layer
    except Exception as error:  # a layer of somebody else's raises what it likes
        place = "BROADCASTING['BACKPLANE']"
        yield Error(
            f"The channel layer of {place} cannot be used: {str(error).removeprefix(place + ': ')}",
            hint=f"Add {backplane.alias!r} to CHANNEL_LAYERS, for instance with the BACKEND"
            " 'channels_redis.pubsub.RedisPubSubChannelLayer'; OPTIONS['alias'] names another.",
            id="broadcasting.E009",
        )
        return
    if isinstance(layer, InMemoryChannelLayer):
        yield Error(
            f"CHANNEL_LAYERS[{backplane.alias!r}] is an InMemoryChannelLayer, which does not"
            " cross processes.",
            hint="Use BACKPLANE = {'BACKEND': 'local'} for one process, or the BACKEND"
            " 'channels_redis.pubsub.RedisPubSubChannelLayer' for several.",
            id="broadcasting.E009",
        )


def _broker() -> Iterator[CheckMessage]:
    # Not before: a site on another queue has no use for Celery.
    from celery import current_app

    options = current_app.conf
    if options.broker_write_url or options.task_always_eager:
        return
    yield CheckWarning(
        "BROADCASTING['QUEUE'] is 'celery', but Celery has no broker URL, so that it would try"
        " a RabbitMQ on this machine.",
        hint="Set broker_url of your Celery application (CELERY_BROKER_URL, where it reads"
        " Django's settings), and import that application in the project's __init__.py.",
        id="broadcasting.W020",
    )
