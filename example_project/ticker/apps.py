from __future__ import annotations

from django.apps import AppConfig


class TickerConfig(AppConfig):
    name = "example_project.ticker"
