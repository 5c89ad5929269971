"""``@listen`` and ``Subscriber``: how programs say who listens to what."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints, overload

from broadcasting.dispatching.options import event_options
from broadcasting.events import ShouldBroadcast
from broadcasting.listeners.registry import Listener, listeners
from broadcasting.wording import name_of

_Handler = TypeVar("_Handler", bound=Callable[..., Any])


class Subscriber:
    """Listeners that belong together: methods under ``@listen``, one new instance per call.

    ::

        class OrderMails(Subscriber):
            @listen(queue="mail")
            def confirm(self, event: OrderPlaced): ...
    """


@overload
def listen(
    *events: type[ShouldBroadcast],
    subclasses: bool = False,
    queue: str | None = None,
    queued: bool | None = None,
    delay: float = 0,
    when: Callable[[Any], object] | None = None,
    after_commit: bool | None = None,
    tries: int | None = None,
    backoff: float | Sequence[float] | None = None,
    timeout: float | None = None,
    dispatch_uid: str | None = None,
) -> Callable[[_Handler], _Handler]: ...
@overload
def listen(listener: _Handler, /) -> _Handler: ...
@overload
def listen(
    *events: type,
    subclasses: Literal[True],
    queue: str | None = None,
    queued: bool | None = None,
    delay: float = 0,
    when: Callable[[Any], object] | None = None,
    after_commit: bool | None = None,
    tries: int | None = None,
    backoff: float | Sequence[float] | None = None,
    timeout: float | None = None,
    dispatch_uid: str | None = None,
) -> Callable[[_Handler], _Handler]: ...
def listen(
    *events: Any,
    subclasses: bool = False,
    queue: str | None = None,
    queued: bool | None = None,
    delay: float = 0,
    when: Callable[[Any], object] | None = None,
    after_commit: bool | None = None,
    tries: int | None = None,
    backoff: float | Sequence[float] | None = None,
    timeout: float | None = None,
    dispatch_uid: str | None = None,
) -> Any:
    """Call the decorated function, or class with ``handle(event)``, when an event is dispatched.

    ``events``: event classes; left out, those that the annotation of its first parameter names.
    With ``subclasses`` their subclasses too; then any class will do, a mixin or an ABC.
    ``queue`` (the name of one) or ``queued=True``: a worker calls it, after ``delay`` seconds,
    ``tries`` times in all whatever it raises, with ``backoff`` seconds in between, and
    ``timeout`` seconds for each. ``when``: called with the event; falsy: the listener is not.
    ``after_commit``: whether to wait for the transaction's commit; by default only queued ones do.
    ``dispatch_uid``: of listeners with the same one only the last is registered.

    A listener that returns False keeps those after it from being called. Raises TypeError for
    what is no event or no listener, and for options that do not go together; ValueError for two
    queued listeners of one name.
    """
    if len(events) == 1 and not _is_event(events[0]) and _is_listener(events[0]):
        return listen()(events[0])
    for event in events:
        _check_event(event, subclasses)
    if inspect.iscoroutinefunction(when):
        raise TypeError("listen(): when= may not be async; ask in the listener")
    options = _options(queue, queued, delay, tries, backoff, timeout)
    waits = options["queued"] if after_commit is None else after_commit

    def register(handler: Any) -> Any:
        if isinstance(handler, _Method):
            return handler.also(said)
        if not _is_listener(handler):
            raise TypeError(
                f"A listener is a function, or a class with handle(event), not {handler!r}"
            )
        return said(handler)

    def said(handler: Any, owner: type | None = None) -> Any:
        if owner is None and _is_method(handler):
            return _Method(handler).also(said)
        listener = Listener(
            events=events or _inferred(handler, subclasses),
            handler=handler,
            owner=owner,
            subclasses=subclasses,
            when=when,
            after_commit=waits,
            dispatch_uid=dispatch_uid,
            **options,
        )
        listeners.add(listener)
        return handler

    return register


@dataclass(frozen=True, slots=True)
class _Method:
    """A method under ``@listen``, until its class is made and takes it back."""

    function: Any
    said: tuple[Callable[..., Any], ...] = ()

    def also(self, said: Callable[..., Any]) -> _Method:
        return replace(self, said=(*self.said, said))

    def __set_name__(self, owner: type, name: str) -> None:
        if not issubclass(owner, Subscriber):
            raise TypeError(
                f"{owner.__qualname__}.{name}: make {owner.__name__} a subclass of Subscriber, so"
                " that its methods can listen"
            )
        setattr(owner, name, self.function)
        for said in self.said:
            said(self.function, owner)


def _options(
    queue: str | None,
    queued: bool | None,
    delay: float,
    tries: int | None,
    backoff: float | Sequence[float] | None,
    timeout: float | None,
) -> dict[str, Any]:
    """Return the options of the queue. Raises TypeError."""
    given = {
        "queue": queue,
        "delay": delay or None,
        "tries": tries,
        "backoff": backoff,
        "timeout": timeout,
    }
    said = {name: value for name, value in given.items() if value is not None}
    is_queued = queued if queued is not None else not said.keys().isdisjoint(("queue", "delay"))
    if said and not is_queued:
        raise TypeError(
            f"listen(): {min(said)} is for queued listeners: say queued=True, or queue="
        )
    parsed = event_options("listen()", said, ())
    names = [name for name in ("queue", "delay", "backoff", "timeout") if name in said]
    options: dict[str, Any] = {name: getattr(parsed, name) for name in names}
    return {**options, "queued": is_queued, "tries": 1 if tries is None else parsed.tries}


def _is_event(given: Any) -> bool:
    return inspect.isclass(given) and issubclass(given, ShouldBroadcast)


def _is_listener(given: Any) -> bool:
    if isinstance(given, _Method):
        return True
    return hasattr(given, "handle") if inspect.isclass(given) else callable(given)


def _is_method(handler: Any) -> bool:
    """Whether it is a function in the body of a class, and takes its instance."""
    if not inspect.isfunction(handler):
        return False
    inside = handler.__qualname__.rpartition(".")[0]
    code = handler.__code__
    takes_it = code.co_argcount > 0 and code.co_varnames[0] == "self"
    return takes_it and inside != "" and not inside.endswith("<locals>")


def _check_event(event: Any, subclasses: bool) -> None:
    if event is ShouldBroadcast and not subclasses:
        raise TypeError("listen(): nothing is a bare ShouldBroadcast; add subclasses=True")
    if _is_event(event) or (inspect.isclass(event) and subclasses):
        return
    cure = "; add subclasses=True for a mixin or an ABC" if inspect.isclass(event) else ""
    raise TypeError(f"listen(): {event!r} is not an event class{cure}")


def _inferred(handler: Any, subclasses: bool) -> tuple[type, ...]:
    """Return the event classes that the first parameter's annotation names. Raises TypeError."""
    called: Any = getattr(handler, "handle", None) if inspect.isclass(handler) else handler
    name = name_of(handler)
    cure = "name the event: @listen(OrderShipped)"
    try:
        parameters = [*inspect.signature(called).parameters.values()]
        if inspect.isclass(handler) or _is_method(called):
            del parameters[:1]
        if not parameters:
            raise TypeError("it has no parameter for an event")
        annotation = parameters[0].annotation
        if isinstance(annotation, str):
            # Only this one: the others may name what is imported for type checkers alone.
            stub = types.SimpleNamespace(__annotations__={"event": annotation})
            annotation = get_type_hints(stub, getattr(called, "__globals__", {}))["event"]
    except (NameError, TypeError, ValueError) as error:
        raise TypeError(f"{name}: what it listens to cannot be seen ({error}); {cure}") from error
    if annotation is inspect.Parameter.empty:
        raise TypeError(f"{name}: its first parameter has no annotation; {cure}")
    is_union = get_origin(annotation) in (Union, types.UnionType)
    found = get_args(annotation) if is_union else (annotation,)
    for event in found:
        _check_event(event, subclasses)
    return found
