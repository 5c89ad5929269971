"""The rooms. Async, to show that colour of the API; the orders are sync."""

from __future__ import annotations

from typing import cast

from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.exceptions import BadRequest
from django.http import HttpResponse, JsonResponse
from django.shortcuts import aget_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from example_project.chat.events import MessagePosted, payload
from example_project.chat.models import Message, Room
from example_project.home.requests import UserRequest, wants_json


@login_required
@require_GET
def index(request: UserRequest) -> HttpResponse:
    """Go to the first room."""
    return redirect("chat:room", slug=Room.objects.values_list("slug", flat=True)[0])


@login_required
@require_GET
def room(request: UserRequest, slug: str) -> HttpResponse:
    """Show what was said; who is here arrives by socket."""
    rooms = list(Room.objects.all())
    here = next((room for room in rooms if room.slug == slug), None)
    if here is None:
        return redirect("chat:index")
    return render(
        request, "chat/room.html", {"room": here, "rooms": rooms, "chat_messages": here.latest()}
    )


@login_required
@require_POST
async def post(request: UserRequest, slug: str) -> HttpResponse:
    """Say something. Other tabs hear it by event, this one by the answer."""
    room = await aget_object_or_404(Room, slug=slug)
    text = request.POST.get("text", "").strip()
    if not 0 < len(text) <= 500:
        raise BadRequest("A message has 1 to 500 characters")
    author = cast(User, await request.auser())
    message = await Message.objects.acreate(room=room, author=author, text=text)
    await MessagePosted(message).to_others().adispatch()
    if wants_json(request):
        return JsonResponse(payload(message), status=201)
    return redirect("chat:room", slug=slug)
