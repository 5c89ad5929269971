"""What stands in ``OPTIONS`` of a broadcaster: read, or refused by its name.

No value is ever shown, since it may be a secret in the wrong place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import AddressValueError, IPv6Address
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from broadcasting.durations import TOO_LONG, is_some_seconds

MAX_PORT = 65_535

_HOST = re.compile(r"[^\s/@?#:\[\]\\]+")


class OptionError(ImproperlyConfigured):
    """An option of a broadcaster that is missing, or cannot be what it is.

    ``driver`` is how the settings call it, ``option`` the key, ``problem`` goes on from there:
    "must be ...".
    """

    def __init__(self, driver: str, option: str, problem: str) -> None:
        super().__init__(f"The option {option!r} of {driver!r} {problem}")
        self.driver = driver
        self.option = option
        self.problem = problem

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.driver, self.option, self.problem)


class Options:
    """The ``OPTIONS`` of one driver. Each method raises OptionError."""

    def __init__(self, driver: str, values: Mapping[str, Any]) -> None:
        self._driver = driver
        self._values = values

    def error(self, option: str, problem: str) -> OptionError:
        """Return what is raised for ``option``."""
        return OptionError(self._driver, option, problem)

    def needed_text(self, option: str) -> str:
        """Return text that must be there."""
        value = self._values.get(option)
        if not isinstance(value, str) or not value.strip():
            raise self.error(option, "must be text that is not empty")
        return value

    def text(self, option: str, default: str = "") -> str:
        """Return text; None counts as left out."""
        value = self._values.get(option)
        if value is not None and not isinstance(value, str):
            raise self.error(option, "must be text")
        return default if value is None else value

    def switch(self, option: str, default: bool) -> bool:
        """Return True or False; "False" is neither, however much it may look like one."""
        value = self._values.get(option, default)
        if not isinstance(value, bool):
            raise self.error(option, "must be True or False")
        return value

    def seconds(self, option: str, default: float) -> float:
        """Return a duration that is longer than nothing."""
        value = self._values.get(option, default)
        if not is_some_seconds(value) or value >= TOO_LONG:
            raise self.error(option, "must be a number of seconds above 0")
        return float(value)

    def host(self) -> str:
        """Return the option ``host``; empty if it is left out."""
        value = self.text("host").strip()
        # An address of IPv6 stands in brackets, as in URLs.
        if value and not (_HOST.fullmatch(value) or _is_ipv6(value)):
            raise self.error(
                "host", "must be a name alone, as 'ws.example.com': no scheme, port or path"
            )
        return value

    def port(self, default: int) -> int:
        """Return the option ``port``; the environment's text will do."""
        value = self._values.get("port")
        if value is None:
            return default
        text = str(value)
        is_number = isinstance(value, int | str) and text.isascii() and text.isdecimal()
        if not is_number or not 0 < int(text) <= MAX_PORT:
            raise self.error("port", f"must be a number from 1 to {MAX_PORT}")
        return int(text)


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text.removeprefix("[").removesuffix("]"))
    except AddressValueError:
        return False
    return text.startswith("[") and text.endswith("]")
