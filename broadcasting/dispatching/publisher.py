"""The thread that hands events on for callers who may not wait: those on a running loop."""

from __future__ import annotations

import logging

from broadcasting.serial import Serial

publisher = Serial(
    "broadcasting-publisher", "events", logging.getLogger("broadcasting.dispatching")
)
