"""A queue whose jobs wait until a test lets a worker do them."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from broadcasting.exceptions import PublishError
from broadcasting.queues import BaseQueue, JobOptions, give_up, run

Kept = tuple[str, dict[str, Any], JobOptions]


class KeptQueue(BaseQueue):
    """Keeps jobs as the JSON that would travel."""

    supports_delay = True
    jobs: ClassVar[list[Kept]] = []

    def push(self, job: str, payload: dict[str, Any], options: JobOptions) -> None:
        self.jobs.append((job, json.loads(json.dumps(payload)), options))

    async def apush(self, job: str, payload: dict[str, Any], options: JobOptions) -> None:
        self.push(job, payload, options)


def work() -> list[Exception]:
    """Do every job as a worker does, those too that they push; return what failed for good."""
    errors: list[Exception] = []
    while KeptQueue.jobs:
        job, payload, options = KeptQueue.jobs.pop(0)
        for attempt in range(1, options.tries + 1):
            try:
                run(job, payload)
                break
            except Exception as error:
                if attempt == options.tries or not isinstance(error, PublishError):
                    give_up(job, payload, error)
                    errors.append(error)
                    break
    return errors
