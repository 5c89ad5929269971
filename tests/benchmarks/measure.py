"""What a server has used: processor time and resident memory of its whole process family.

Linux only: it reads /proc. A member that ended takes its share with it, so servers that start a
process for each task cannot be measured like this.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
CPUCLOCK_SCHED = 2


def family(pid: int) -> list[int]:
    """Return the process and all that descend from it."""
    pids = [pid]
    for parent in pids:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                pids += [int(child) for child in children.read_text().split()]
            except FileNotFoundError:
                continue  # the thread has just ended
    return pids


def cpu_seconds(pid: int) -> float:
    """Return user and system time of the family so far, in seconds."""
    return sum(process_seconds(member) for member in family(pid))


def process_seconds(pid: int) -> float:
    """Return the processor time of one process with all its threads, 0.0 if it is gone.

    The clock of another process counts nanoseconds and keeps what ended threads have used.
    Where it cannot be read, /proc counts in ticks of mostly 10 ms.
    """
    try:
        # What clock_getcpuclockid() computes, which Python does not offer.
        return time.clock_gettime(~pid << 3 | CPUCLOCK_SCHED)
    except OSError:
        pass
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except FileNotFoundError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS


def socket_count(pid: int) -> int:
    """Return how many sockets the family has open, listening ones and all."""
    total = 0
    for member in family(pid):
        for descriptor in Path(f"/proc/{member}/fd").glob("*"):
            try:
                total += descriptor.readlink().name.startswith("socket:")
            except FileNotFoundError:
                continue
    return total


def memory_kb(pid: int) -> int:
    """Return the resident memory of the family, in KiB; shared pages count for each member."""
    total = 0
    for member in family(pid):
        try:
            text = Path(f"/proc/{member}/status").read_text()
        except FileNotFoundError:
            continue
        total += sum(int(li.split()[1]) for li in text.splitlines() if li.startswith("VmRSS"))
    return total
