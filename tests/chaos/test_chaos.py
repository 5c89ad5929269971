"""All is right after a minute of chaos; ``./dev chaos`` does it for longer."""

from __future__ import annotations

import random

import pytest

from tests.chaos.run import run

SECONDS = 30.0


@pytest.mark.full
@pytest.mark.timeout(300)
async def test_all_is_right_after_chaos() -> None:
    seed = random.randrange(1_000_000)
    outcome = await run(seed, SECONDS)
    assert outcome.published
    assert outcome.faults == [], (f"./dev chaos --seed {seed}", outcome.story)
