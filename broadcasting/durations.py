"""What a duration is, wherever a setting, an option or a call names one."""

from __future__ import annotations

import math
from typing import Final, TypeGuard

TOO_LONG: Final = 1e9
"""Seconds that no timer or socket of the system takes any more."""


def is_seconds(value: object) -> TypeGuard[float]:
    """Whether ``value`` is a finite number from 0; True is an int in Python, never one here."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


def is_some_seconds(value: object) -> TypeGuard[float]:
    """Whether ``value`` is a duration that is longer than nothing."""
    return is_seconds(value) and value > 0
