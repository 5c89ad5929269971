"""How a rule's annotation says which row a placeholder stands for."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from django.contrib.auth.models import Group, User

from broadcasting import Lookup, channel
from broadcasting.checks import authorization as checks
from broadcasting.testing import channel_auth

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("rules", "finding")]

ADA = User(pk=7, username="ada")
OPEN = Group.objects.filter(name__startswith="open")


class Shop:
    """Where a queryset may be found as well: the annotation is text, as it is written."""

    open = staticmethod(lambda: Group.objects.filter(name="open-a"))


@pytest.mark.parametrize("queryset", ["OPEN", "Shop.open"])
def test_a_row_is_looked_up_by_a_field_among_some_rows(queryset: str) -> None:
    @channel("groups.{group}")
    def rule(user: User, group: Any) -> bool:
        return isinstance(group, Group)

    rule.__annotations__["group"] = f"Annotated[Group, Lookup('name', queryset={queryset})]"
    assert channel_auth(ADA, "private-groups.open-a").denied
    for name in ("open-a", "closed-a"):
        Group.objects.create(name=name)
    # The rows of now, not those of the first question.
    assert channel_auth(ADA, "private-groups.open-a").allowed
    decision = channel_auth(ADA, "private-groups.closed-a")
    assert (decision.status, "no auth.Group with name='closed-a'" in decision.reason) == (403, True)


def test_a_manager_will_do_and_the_key_is_what_counts_unless_told() -> None:
    @channel("groups.{group}")
    def rule(
        user: User,
        group: Annotated[Group | None, Lookup(queryset=Group.objects)],
    ) -> bool:
        return True

    group = Group.objects.create(name="a")
    assert channel_auth(ADA, f"private-groups.{group.pk}").allowed
    assert channel_auth(ADA, "private-groups.a").denied


def test_the_pattern_goes_before_it() -> None:
    @channel("groups.{group:name}")
    def rule(user: User, group: Annotated[Group, Lookup("id")]) -> bool:  # type: ignore[valid-type]
        return True

    Group.objects.create(name="a")
    assert channel_auth(ADA, "private-groups.a").allowed


@pytest.mark.parametrize(
    ("lookup", "problem"),
    [
        ("Lookup('nome')", "auth.Group has no field 'nome'"),
        ("Lookup(queryset=User.objects.all())", "the queryset of 'group' has rows of auth.User"),
    ],
)
def test_e013_a_lookup_that_cannot_work(lookup: str, problem: str) -> None:
    @channel("groups.{group}")
    def rule(user: User, group: Any) -> bool:
        return True

    rule.__annotations__["group"] = f"Annotated[Group, {lookup}]"
    (message,) = checks.check_rules()
    assert message.id == "broadcasting.E013"
    assert problem in message.msg


def test_a_lookup_shows_no_rows() -> None:
    assert repr(Lookup("name", queryset=OPEN)) == "Lookup(field='name')"
