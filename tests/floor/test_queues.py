"""What all queues share."""

from __future__ import annotations

import pickle

import pytest

from broadcasting.exceptions import BackplaneUnavailable, DeliveryPostponed
from broadcasting.queues.base import wait_before


@pytest.mark.parametrize(("retry", "seconds"), [(1, 1), (2, 5), (3, 5), (9, 5)])
def test_the_last_wait_repeats(retry: int, seconds: float) -> None:
    assert wait_before(retry, (1, 5), BackplaneUnavailable()) == seconds


def test_an_error_may_know_better() -> None:
    assert wait_before(1, (1, 5), DeliveryPostponed("no answer", 17)) == 17


def test_it_keeps_that_on_its_way_between_processes() -> None:
    error = pickle.loads(pickle.dumps(DeliveryPostponed("no answer", 17)))  # noqa: S301
    assert (str(error), error.retry_in) == ("no answer", 17)
