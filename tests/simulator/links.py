"""The connections of simulated processes to what they share: slow, in order, and easily cut."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

from broadcasting.exceptions import RegistryUnavailable
from tests.simulator.loop import Line, Process, SimulatedLoop

SLOWEST = (0.0, 0.02, 0.08, 0.6)
"""Seconds that a question or an answer may be on its way; of each connection another one."""

PATIENCE = 1.0
"""Seconds until a question counts as lost."""


class Link:
    """One process's connection to one server: questions out, answers and more back."""

    def __init__(
        self, process: Process, loop: SimulatedLoop, rng: random.Random, problem: type[Exception]
    ) -> None:
        """``problem`` is what a question fails with that is lost, or its answer."""
        self.process = process
        self.is_up = True
        self.cuts = 0
        """How often it was cut: what was under way is lost then."""

        self._loop = loop
        self._out = Line(loop, rng, rng.choice(SLOWEST))
        self._back = Line(loop, rng, rng.choice(SLOWEST))
        self._problem = problem

    def cut(self) -> None:
        """Lose everything from now on."""
        self.is_up = False
        self.cuts += 1

    def mend(self) -> None:
        """Carry again."""
        self.is_up = True

    def ask(self, operation: Callable[[], Any], answer: asyncio.Future[Any]) -> None:
        """See tests.simulator.shared_registry.Wire."""
        if self.is_up:
            self._out.carry(self._arrive, operation, answer, self.cuts)
        else:
            self._lose(answer)

    def deliver(self, receive: Callable[..., object], *args: Any) -> None:
        """Let the process get something that it did not ask for."""
        if self.is_up:
            self._back.carry(self._hand_in, receive, args, self.cuts, to=self.process)

    def _arrive(self, operation: Callable[[], Any], answer: asyncio.Future[Any], cuts: int) -> None:
        if cuts != self.cuts:
            self._lose(answer)
            return
        result: Any = None
        problem: Exception | None = None
        try:
            result = operation()
        except Exception as raised:  # whatever it is, it is for whoever asked
            problem = raised
        if self.is_up:
            self._back.carry(self._answer, answer, result, problem, cuts, to=self.process)

    def _answer(
        self, answer: asyncio.Future[Any], result: Any, problem: Exception | None, cuts: int
    ) -> None:
        if cuts != self.cuts:
            self._lose(answer)
        elif answer.done():
            return
        elif problem is not None:
            answer.set_exception(problem)
        else:
            answer.set_result(result)

    def _hand_in(self, receive: Callable[..., object], args: tuple[Any, ...], cuts: int) -> None:
        if cuts == self.cuts:
            receive(*args)

    def _lose(self, answer: asyncio.Future[Any]) -> None:
        def fail() -> None:
            if not answer.done():
                answer.set_exception(self._problem("The server does not answer"))

        self._loop.call_later(PATIENCE, fail, context=self.process.context.copy())


class Links:
    """Those of all processes to one server."""

    def __init__(
        self,
        loop: SimulatedLoop,
        rng: random.Random,
        problem: type[Exception] = RegistryUnavailable,
    ) -> None:
        self._loop = loop
        self._rng = rng
        self._problem = problem
        self._of: dict[Process, Link] = {}

    def of(self, process: Process) -> Link:
        """Return the connection of ``process``."""
        link = self._of.get(process)
        if link is None:
            link = self._of[process] = Link(process, self._loop, self._rng, self._problem)
        return link
