"""Which server the options mean, and how redis-py makes a client of it.

``url``: of the server, or of any node of a Cluster. ``username`` and ``password``: where the URL
has none. ``sentinels`` and ``service``: the addresses of the Sentinels, and the name they have
for the server. ``cluster``: whether it is one; ``nodes``: addresses of some of its nodes.
``connection``: what else redis-py's connections are made with, such as ``ssl_ca_certs``;
``sentinel_connection``: the same of those to the Sentinels. Or ``factory``, for all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeGuard, cast
from urllib.parse import urlsplit

import redis
import redis.asyncio
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.connection import ConnectionPool
from redis.exceptions import RedisError
from redis.retry import Retry

Maker = Callable[..., Any]
"""Called with redis or redis.asyncio, and the limits that the client is made with."""

SERVER_OPTIONS = frozenset(
    {"url", "username", "password", "sentinels", "service", "cluster", "nodes", "connection"}
    | {"sentinel_connection", "factory"}
)
"""The options that say which server, for ``known_options``."""

URL_WANTED = (
    "must be the URL of a Redis or Valkey server, as 'redis://localhost:6379/0'; a password's own"
    " '/', '#', '?' and '@' are written as '%2F', '%23', '%3F' and '%40', and"
    " behind a '?' stands what redis-py knows"
)

ADDRESSES_WANTED = "must be a list of addresses, as [('localhost', 26379)]"

HAND_ON = (
    "must hand the keyword arguments that it is called with on to redis-py, as in"
    " `def client(redis, **limits): return redis.Redis(host='localhost', **limits)`"
)


@dataclass(frozen=True, slots=True)
class RedisServer:
    """What the options mean. Making a client connects to nothing, but a Cluster's sync one."""

    make: Maker
    place: str
    """Where it is, for error messages: without user and password."""

    cluster: bool = False
    sentinels: bool = False
    """Whether Sentinels say where it is, as far as the options tell."""

    def client(self, timeout: float) -> redis.Redis:
        """Return a sync client that waits ``timeout`` seconds at most for each step.

        Of a Cluster it is a RedisCluster, whose making raises RedisError or OSError if no node
        answers. Whatever fails is told at once: a second try would take a second timeout.
        """
        return cast(redis.Redis, self.make(redis, **self._limits(Retry, timeout)))

    def async_client(self, timeout: float) -> AsyncRedis:
        """See client(): one for asyncio, which connects when it is used."""
        made = self.make(redis.asyncio, **self._limits(AsyncRetry, timeout))
        return cast(AsyncRedis, made)

    def _limits(self, retry: type[Any], timeout: float) -> dict[str, Any]:
        limits = {
            "socket_timeout": timeout,
            "socket_connect_timeout": timeout,
            "retry": retry(NoBackoff(), 0),
            # From redis-py 8 on, a client of the newer form uses a connection again without a look
            # whether the server has closed it meanwhile: what is said first is lost.
            "protocol": 2,
        }
        # Until redis-py 6 a Cluster's client counted its own tries.
        if self.cluster and int(redis.__version__.partition(".")[0]) < 6:
            limits["cluster_error_retry_attempts"] = 0
        return limits


def server_of(options: Mapping[str, Any], place: str) -> RedisServer:
    """Return the server that ``options`` mean; ``place`` is where they stand in the settings.

    Raises ImproperlyConfigured, without any secret.
    """
    if "factory" in options:
        return _of_factory(options, place)
    cluster = options.get("cluster", False)
    if not isinstance(cluster, bool):
        raise ImproperlyConfigured(f"{place}['cluster'] must be True or False")
    if cluster and "sentinels" in options:
        raise ImproperlyConfigured(f"{place}: a Cluster has no 'sentinels'; name one of the two")
    if ("sentinels" in options) != ("service" in options):
        raise ImproperlyConfigured(f"{place}: 'sentinels' and 'service' belong together")
    if "nodes" in options and not cluster:
        raise ImproperlyConfigured(f"{place}['nodes'] are those of a Cluster: add 'cluster': True")
    if "sentinels" in options:
        server = _of_sentinels(options, place)
    elif cluster:
        server = _of_cluster(options, place)
    else:
        server = _of_url(options, place)
    _try_out(server, place)
    return server


def is_url(url: object) -> TypeGuard[str]:
    """Whether ``url`` may be the URL of a server; if not, it may still hold a password."""
    if not isinstance(url, str) or not url.startswith(("redis://", "rediss://", "unix://")):
        return False
    try:
        parts = urlsplit(url)
        # Makes a connection and opens none: what stands behind a "?" is read here only.
        ConnectionPool.from_url(url).make_connection()
    except (ValueError, TypeError, RedisError):  # not handed on: they quote what is wrong
        return False
    # Else what is taken for the path of a number that is no port is shown.
    return parts.scheme == "unix" or "@" not in parts.path + parts.fragment


def _of_url(options: Mapping[str, Any], place: str) -> RedisServer:
    url, extra = _url(options, place), _connection(options, place)
    parts = urlsplit(url)
    return RedisServer(
        # What the URL says goes before arguments.
        lambda module, **limits: module.Redis.from_url(url, **{**extra, **limits}),
        f"Redis at {parts.netloc.rpartition('@')[2]}{parts.path}",
    )


def _of_sentinels(options: Mapping[str, Any], place: str) -> RedisServer:
    if "url" in options:
        raise ImproperlyConfigured(
            f"{place}['url']: the Sentinels say where the server is; user and password are options,"
            " the database and TLS stand in 'connection'"
        )
    sentinels = _addresses(options, "sentinels", place)
    service = options["service"]
    if not isinstance(service, str) or not service:
        raise ImproperlyConfigured(f"{place}['service'] must be the name that the Sentinels know")
    extra = _connection(options, place)
    theirs = _mapping(options, "sentinel_connection", place)

    def make(module: ModuleType, **limits: Any) -> Any:
        asked = module.Sentinel(
            sentinels, sentinel_kwargs={**theirs, **limits}, **{**extra, **limits}
        )
        return asked.master_for(service)

    return RedisServer(
        make, f"Redis {service!r} of the Sentinels at {_shown(sentinels)}", sentinels=True
    )


def _of_cluster(options: Mapping[str, Any], place: str) -> RedisServer:
    extra = {"require_full_coverage": False, **_connection(options, place)}
    nodes = _addresses(options, "nodes", place) if "nodes" in options else []
    if "url" not in options and nodes:

        def make(module: Any, **limits: Any) -> Any:
            some = [module.cluster.ClusterNode(host, port) for host, port in nodes]
            return module.RedisCluster(startup_nodes=some, **{**extra, **limits})

        return RedisServer(make, f"Redis Cluster at {_shown(nodes)}", cluster=True)
    url = _url(options, place)
    if nodes:
        raise ImproperlyConfigured(f"{place}: name the 'url' of one node, or 'nodes'")
    if url.startswith("unix:"):
        raise ImproperlyConfigured(f"{place}['url']: a Cluster cannot be reached by a unix socket")
    return RedisServer(
        lambda module, **limits: module.RedisCluster.from_url(url, **{**extra, **limits}),
        f"Redis Cluster at {urlsplit(url).netloc.rpartition('@')[2]}",
        cluster=True,
    )


def _of_factory(options: Mapping[str, Any], place: str) -> RedisServer:
    if others := SERVER_OPTIONS.intersection(options) - {"factory", "cluster"}:
        raise ImproperlyConfigured(
            f"{place}: a 'factory' says it all, without {', '.join(sorted(others))}"
        )
    factory = options["factory"]
    name = factory if isinstance(factory, str) else getattr(factory, "__qualname__", "a factory")
    if isinstance(factory, str):
        try:
            factory = import_string(factory)
        except ImportError as error:
            raise ImproperlyConfigured(f"{place}['factory']: {error}") from error
    if not callable(factory):
        raise ImproperlyConfigured(f"{place}['factory'] must be callable, or the path of one")
    cluster = options.get("cluster", False)

    def make(module: Any, **limits: Any) -> Any:
        made = factory(module, **limits)
        wanted = module.RedisCluster if cluster else module.Redis
        if not isinstance(made, wanted):
            raise ImproperlyConfigured(
                f"{place}['factory'] must return a {module.__name__}.{wanted.__name__}, not a"
                f" {type(made).__name__}; 'cluster' says which"
            )
        holder = made.nodes_manager if cluster else made.connection_pool
        if holder.connection_kwargs.get("socket_timeout") != limits["socket_timeout"]:
            raise ImproperlyConfigured(f"{place}['factory'] {HAND_ON}")
        return made

    server = RedisServer(make, f"Redis of {name}", cluster=bool(cluster))
    _try_out(server, place)
    return server


def _try_out(server: RedisServer, place: str) -> None:
    """Raise ImproperlyConfigured if redis-py takes no such options. Connects to nothing."""
    try:
        client: Any = server.async_client(1.0)
        if not server.cluster:
            client.connection_pool.make_connection()
    except TypeError as error:  # names an argument, never its value
        raise ImproperlyConfigured(f"{place}: redis-py says {error}") from None
    except (ValueError, RedisError):  # may quote a secret
        raise ImproperlyConfigured(f"{place}: redis-py can make no client of these") from None


def _url(options: Mapping[str, Any], place: str) -> str:
    url = options.get("url")
    if not is_url(url):
        raise ImproperlyConfigured(f"{place}['url'] {URL_WANTED}")
    return url


def _connection(options: Mapping[str, Any], place: str) -> dict[str, Any]:
    made = _mapping(options, "connection", place)
    for name in ("username", "password"):
        if (value := options.get(name)) is None:
            continue
        if not isinstance(value, str):
            raise ImproperlyConfigured(f"{place}[{name!r}] must be text")
        made[name] = value
    return made


def _mapping(options: Mapping[str, Any], name: str, place: str) -> dict[str, Any]:
    value = options.get(name, {})
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ImproperlyConfigured(
            f"{place}[{name!r}] must be a dict of what redis-py's connections are made with"
        )
    return dict(value)


def _addresses(options: Mapping[str, Any], name: str, place: str) -> list[tuple[str, int]]:
    value = options[name]
    if not isinstance(value, list | tuple) or not value or not all(map(_is_address, value)):
        raise ImproperlyConfigured(f"{place}[{name!r}] {ADDRESSES_WANTED}")
    return [(host, port) for host, port in value]


def _is_address(value: object) -> bool:
    match value:
        case [str(host), int(port)]:
            return bool(host) and 0 < port < 65536
    return False


def _shown(addresses: list[tuple[str, int]]) -> str:
    return ", ".join(f"{host}:{port}" for host, port in addresses)
