"""A family has one backend in a process, whoever asks for it first."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from django.test import override_settings

from broadcasting.backplanes import get_backplane
from broadcasting.backplanes.local import LocalBackplane


def test_threads_that_ask_first_at_once_get_the_same_one() -> None:
    """Else a node would listen on one backplane and a view publish through another."""
    threads = 8
    for _ in range(50):
        get_backplane.reset()
        barrier = threading.Barrier(threads)

        def ask(barrier: threading.Barrier = barrier) -> int:
            barrier.wait()
            return id(get_backplane())

        with ThreadPoolExecutor(threads) as pool:
            assert len(set(pool.map(lambda _: ask(), range(threads)))) == 1


def test_a_change_of_settings_makes_a_new_one() -> None:
    """App 24."""
    before = get_backplane()
    with override_settings(BROADCASTING={}):
        assert get_backplane() is not before


def test_what_is_made_of_something_that_never_waits_may_wait() -> None:
    class Custom(LocalBackplane):
        pass

    class Certain(LocalBackplane):
        waits = False

    assert not LocalBackplane.waits
    assert Custom.waits
    assert not Certain.waits
