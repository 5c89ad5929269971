"""Viewsets that broadcast what they did, for models that do not do so themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.exceptions import ImproperlyConfigured
from rest_framework import mixins

from broadcasting.broadcastable import BroadcastsEvents, ModelBroadcast
from broadcasting.broadcastable.events import Snapshot, channels_of, default_name
from broadcasting.channels import Targets, TargetsByBroadcaster
from broadcasting.dispatching import Dispatch
from broadcasting.encoding import as_data
from broadcasting.middleware import socket_id_of

if TYPE_CHECKING:
    from rest_framework.serializers import BaseSerializer
    from rest_framework.viewsets import ModelViewSet

    _View = ModelViewSet[Any]
else:
    _View = object


class BroadcastModelMixin(_View):
    """Broadcast what create, update and destroy of a viewset did. Stands before its other bases.

    ::

        class OrderViewSet(BroadcastModelMixin, viewsets.ModelViewSet):
            queryset = Order.objects.all()
            serializer_class = OrderSerializer

    ``OrderCreated``, ``OrderUpdated`` and ``OrderDeleted`` go to the row's own private channel
    with ``{"model": ...}`` as the view's serializer shows it, after the commit, to all but the
    tab that asked (``X-Socket-ID``). The event is a ``ModelBroadcast``. Who overrides
    ``perform_create`` and its like calls ``super()``, or nobody is told.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        writers = {mixins.CreateModelMixin, mixins.UpdateModelMixin, mixins.DestroyModelMixin}
        before = cls.__mro__[: cls.__mro__.index(BroadcastModelMixin)]
        if early := writers.intersection(before):
            names = " and ".join(sorted(one.__name__ for one in early))
            raise TypeError(
                f"{cls.__name__}: BroadcastModelMixin must stand before {names}, or hears nothing"
            )

    def broadcast_on(self, instance: Any, event: str) -> Targets | TargetsByBroadcaster:
        """Return where ``event`` (``created``, ``updated``, ``deleted``) goes; None: nowhere."""
        targets: Targets = instance
        return targets

    def broadcast_as(self, instance: Any, event: str) -> str:
        """Return the name clients listen to."""
        return default_name(type(instance), event)

    def broadcast_with(self, instance: Any, event: str) -> Any:
        """Return the payload. By default what the one who asked is answered, so mind fields
        that are for them alone."""
        return {"model": self.get_serializer(instance).data}

    def prepare_broadcast(self, dispatch: Dispatch, event: str) -> Dispatch:
        """Return ``dispatch`` with what is to be said about it, such as ``.on_queue("high")``."""
        return dispatch.to_others(socket_id_of(self.request))

    # -- what Django REST framework calls ---------------------------------------------------

    def perform_create(self, serializer: BaseSerializer[Any]) -> None:
        # Of several at once it is the one for each that knows the model.
        of_one = getattr(serializer, "child", serializer)
        self._refuse_speakers(getattr(getattr(of_one, "Meta", None), "model", None))
        super().perform_create(serializer)
        made = serializer.instance
        for instance in made if isinstance(made, list | tuple) else [made]:
            self._tell(instance, "created")

    def perform_update(self, serializer: BaseSerializer[Any]) -> None:
        self._refuse_speakers(type(serializer.instance))
        super().perform_update(serializer)
        # As the framework does before it answers: what was prefetched is old.
        if getattr(serializer.instance, "_prefetched_objects_cache", None):
            serializer.instance._prefetched_objects_cache = {}  # type: ignore[union-attr]
        self._tell(serializer.instance, "updated")

    def perform_destroy(self, instance: Any) -> None:
        self._refuse_speakers(type(instance))
        # Before it goes: then it has no key, and no relations.
        dispatch = self._dispatch_of(instance, "deleted")
        super().perform_destroy(instance)
        dispatch.dispatch()

    def _tell(self, instance: Any, event: str) -> None:
        self._dispatch_of(instance, event).dispatch()

    def _dispatch_of(self, instance: Any, event: str) -> Dispatch:
        # All at once, in the request: the serializer may ask who made it.
        snapshot = Snapshot(
            channels=channels_of(self.broadcast_on(instance, event)),
            name=self.broadcast_as(instance, event),
            payload=as_data(self.broadcast_with(instance, event)),
        )
        broadcast = ModelBroadcast(instance, event, None, None, snapshot)
        return self.prepare_broadcast(Dispatch(broadcast), event)

    def _refuse_speakers(self, model: Any) -> None:
        if isinstance(model, type) and issubclass(model, BroadcastsEvents):
            raise ImproperlyConfigured(
                f"{type(self).__name__} broadcasts rows of {model.__name__}, which does so itself:"
                " leave BroadcastModelMixin out (BroadcastMeta has serializer and to_others)"
            )
