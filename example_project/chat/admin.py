from __future__ import annotations

from django.contrib import admin

from example_project.chat.models import Message, Room

admin.site.register([Room, Message])
