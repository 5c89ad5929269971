from __future__ import annotations

import os
import threading

import pytest

from broadcasting.forking import ForkSafeLock


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_finds_a_lock_open_that_another_thread_held():
    lock = ForkSafeLock()
    held, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            let_go.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(5)
    child = os.fork()
    if child == 0:  # pragma: no cover - the child ends without telling
        try:
            with lock:
                os._exit(0)
        finally:
            os._exit(1)
    let_go.set()
    thread.join()
    assert os.waitpid(child, 0)[1] == 0
    with lock, lock:  # reentrant, and the parent's own is as it was
        pass


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_fork_in_the_middle_of_it_is_no_mistake():
    lock = ForkSafeLock()
    with lock:
        child = os.fork()
    if child == 0:  # pragma: no cover - the child ends without telling
        with lock:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
