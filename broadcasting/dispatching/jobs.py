"""What a rendered event is for a queue: a job for each broadcaster, or one job for them all.

One for all where a worker renders, and where the event as a whole is counted or locked: its
middleware then stands around it once, and its lock is kept until the last one has it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from broadcasting.broadcasters import BaseBroadcaster
from broadcasting.broadcasts import (
    JOB,
    MANY_JOB,
    Broadcast,
    adeliver,
    adeliver_all,
    deliver,
    deliver_all,
    many,
)
from broadcasting.dispatching.outgoing import Batch, has_middleware
from broadcasting.dispatching.packing import JOB as RENDER_JOB
from broadcasting.dispatching.packing import Packed
from broadcasting.queues import JobOptions, get_queue
from broadcasting.queues.base import Payload


@dataclass(slots=True)
class Job:
    """Some broadcasts of one event that travel together."""

    broadcasts: tuple[Broadcast, ...]
    """What it is about, as far as that is known."""

    packed: Packed | None = None
    """The event, if a worker is to render it."""

    through: BaseBroadcaster | None = None
    """What sends it from here, since no settings know it."""

    @property
    def name(self) -> str:
        """What workers know it by."""
        if self.packed is not None:
            return RENDER_JOB
        return JOB if len(self.broadcasts) == 1 else MANY_JOB

    @property
    def payload(self) -> Payload:
        """What it needs there, as JSON data."""
        if self.packed is not None:
            return self.packed.to_payload()
        if len(self.broadcasts) == 1:
            return self.broadcasts[0].to_payload()
        return many(self.broadcasts)

    @property
    def broadcaster(self) -> str:
        """The alias of its broadcaster, or their aliases."""
        return ", ".join([broadcast.broadcaster for broadcast in self.broadcasts])

    @property
    def order(self) -> tuple[str, ...]:
        """The lines that it stands in: its channels; its class, as long as these are unknown."""
        if self.packed is not None:
            return (f"event {self.packed.label}",)
        lines = [f"{each.broadcaster} {name}" for each in self.broadcasts for name in each.channels]
        return tuple(dict.fromkeys(lines))

    def do(self) -> None:
        """Send what it is about from here. Raises PublishError; NotAllSent, if it is several."""
        if len(self.broadcasts) == 1:
            deliver(self.broadcasts[0], self.through)
        else:
            deliver_all(self.broadcasts)

    async def ado(self) -> None:
        """See do()."""
        if len(self.broadcasts) == 1:
            await adeliver(self.broadcasts[0], self.through)
        else:
            await adeliver_all(self.broadcasts)


def in_line(job: Job, options: JobOptions) -> JobOptions:
    """Return ``options`` with the lines that ``job`` stands in, where the queue keeps them."""
    return replace(options, order=job.order) if get_queue().keeps_order else options


def jobs_of(batch: Batch) -> list[Job]:
    """Return the jobs of a rendered or packed event."""
    if batch.packed is not None:
        return [Job(tuple(batch.packed.unrendered()), batch.packed)]
    if len(batch.broadcasts) > 1 and not is_one(batch):
        jobs = [Job((broadcast,)) for broadcast in batch.broadcasts]
    else:
        jobs = [Job(batch.broadcasts)] if batch.broadcasts else []
    return jobs + jobs_here(batch) if batch.here else jobs


def jobs_here(batch: Batch) -> list[Job]:
    """Return what no queue can have."""
    return [Job((broadcast,), through=through) for through, broadcast in batch.here]


def is_one(batch: Batch) -> bool:
    """Whether the event has one job, however many broadcasters."""
    return has_middleware(batch.outgoing) or is_locked(batch)


def is_locked(batch: Batch) -> bool:
    """Whether its job holds a lock while it waits."""
    options = batch.outgoing.options
    return bool(options.unique) and not options.now and get_queue().leaves_process
