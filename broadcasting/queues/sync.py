"""No queue: the job runs at once, in the caller. Its errors are the caller's."""

from __future__ import annotations

from typing import ClassVar

from broadcasting.queues.base import BaseQueue, JobOptions, Payload, arun, run


class SyncQueue(BaseQueue):
    """Run jobs where they are pushed."""

    known_options: ClassVar[frozenset[str] | None] = frozenset({"queue", "expires"})
    leaves_process = False
    runs_at_once = True

    def push(self, job: str, payload: Payload, options: JobOptions) -> None:
        run(job, payload)

    async def apush(self, job: str, payload: Payload, options: JobOptions) -> None:
        await arun(job, payload)
