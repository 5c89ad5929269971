from __future__ import annotations

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand

from tests.liveapp.contexts import Visit, sync_view


class Command(BaseCommand):
    help = "Play every outcome for each line of input: a JSON object of channel and rescue."

    def handle(self, *args: Any, **options: Any) -> None:
        for line in sys.stdin:
            self.stdout.write(json.dumps(sync_view(Visit(**json.loads(line)))))
            self.stdout.flush()
