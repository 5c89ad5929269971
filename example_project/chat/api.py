"""The chat for programs: Django REST framework, with what it did broadcast to the rooms."""

from __future__ import annotations

from typing import Any

from rest_framework import mixins, permissions, renderers, routers, serializers, viewsets
from rest_framework.authentication import BasicAuthentication, SessionAuthentication

from broadcasting import PresenceChannel
from broadcasting.contrib.drf.viewsets import BroadcastModelMixin
from example_project.chat.events import payload
from example_project.chat.models import Message, Room


class MessageSerializer(serializers.ModelSerializer[Message]):
    room = serializers.SlugRelatedField(slug_field="slug", queryset=Room.objects.all())
    author = serializers.StringRelatedField[Any]()

    class Meta:
        model = Message
        fields = ("id", "room", "author", "text", "sent")


class MessageViewSet(
    BroadcastModelMixin,
    mixins.CreateModelMixin,
    mixins.ListModelMixin,
    viewsets.GenericViewSet[Message],
):
    """What was said, newest first, and a way to say more: pages hear no difference."""

    queryset = Message.objects.select_related("room", "author").order_by("-pk")[:50]
    serializer_class = MessageSerializer
    authentication_classes = (BasicAuthentication, SessionAuthentication)
    permission_classes = (permissions.IsAuthenticated,)
    renderer_classes = (renderers.JSONRenderer,)

    def perform_create(self, serializer: serializers.BaseSerializer[Message]) -> None:
        serializer.validated_data["author"] = self.request.user
        super().perform_create(serializer)

    def broadcast_on(self, instance: Message, event: str) -> PresenceChannel:
        return PresenceChannel(f"chat.{instance.room.slug}")

    def broadcast_as(self, instance: Message, event: str) -> str:
        return "MessagePosted"

    def broadcast_with(self, instance: Message, event: str) -> dict[str, Any]:
        return payload(instance)


router = routers.SimpleRouter()
router.register("messages", MessageViewSet)
urlpatterns = router.urls
