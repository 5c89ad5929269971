"""Queued listeners in a worker of their own, which Celery runs."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

from tests import live
from tests.processes.conftest import Env

DISPATCH = """
from django.contrib.auth.models import User
from django.db import transaction
from tests.liveapp.events import Told
ada = User.objects.get(username="ada")
for word, rollback in (("{lost}", True), ("{word}", False)):
    with transaction.atomic():
        Told(ada, word).dispatch()
        transaction.set_rollback(rollback)
"""


def test_a_worker_hears_what_was_committed_and_tries_again(crossing: Env, worker: Path) -> None:
    lost, word = uuid4().hex, uuid4().hex
    done = live.run(crossing, "-m", "django", "shell", "-c", DISPATCH.format(lost=lost, word=word))
    assert done.returncode == 0, done
    live.wait_for_line(worker, f"{word}: heard of ada at attempt 2")
    live.wait_for_line(worker, f"{word}: awaited for ada")
    assert lost not in worker.read_text()
