"""A queue whose jobs wait until a test lets a worker do them."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from broadcasting.queues import BaseQueue, JobOptions, give_up, left_to_do, run

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
                left = left_to_do(job, payload, error) if attempt < options.tries else None
                if left is None:
                    give_up(job, payload, error)
                    errors.append(error)
                    break
                job, payload = json.loads(json.dumps(left))
    return errors
