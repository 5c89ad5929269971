"""The rule that is there without anybody writing it."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User

from broadcasting import PrivateChannel, channel
from broadcasting.testing import channel_auth

ADA, BOB = User(pk=1, username="ada"), User(pk=12, username="bob")


@pytest.mark.parametrize(
    ("user", "name", "allowed"),
    [
        (ADA, "private-auth.User.1", True),
        (BOB, "private-auth.User.12", True),
        (BOB, "private-auth.User.1", False),
        (ADA, "private-auth.User.12", False),
        (ADA, "private-auth.User.01", False),
        (ADA, "private-auth.user.1", False),
        (ADA, "presence-auth.User.1", False),
        (None, "private-auth.User.1", False),
    ],
)
def test_users_may_join_their_own_channel_and_no_other(rules, user, name, allowed) -> None:
    """App 13: the user's own channel."""
    assert channel_auth(user, name).allowed is allowed


def test_a_rule_of_the_project_takes_its_place(rules: Any) -> None:
    @channel("auth.User.{pk}")
    def nobody(user: Any, pk: str) -> bool:
        return False

    assert channel_auth(ADA, "private-auth.User.1").denied


def test_it_can_be_switched_off(rules: Any, settings: Any) -> None:
    given = deepcopy(settings.BROADCASTING)
    given.setdefault("AUTHORIZATION", {})["USER_CHANNEL"] = False
    settings.BROADCASTING = given
    decision = channel_auth(ADA, "private-auth.User.1")
    assert decision.denied


@pytest.fixture
def proxy() -> Iterator[type[User]]:
    class Neighbour(User):
        class Meta:
            app_label = "testapp"
            proxy = True

    yield Neighbour
    del apps.all_models["testapp"]["neighbour"]
    apps.clear_cache()


def test_a_user_model_that_is_a_proxy_has_the_channel_of_its_rows(
    rules: Any, settings: Any, proxy: type[User]
) -> None:
    settings.AUTH_USER_MODEL = "testapp.Neighbour"
    ada, bob = proxy(pk=1), proxy(pk=2)
    assert PrivateChannel(ada).name == "private-auth.User.1"
    assert channel_auth(ada, PrivateChannel(ada).name).allowed
    assert channel_auth(bob, PrivateChannel(ada).name).denied
