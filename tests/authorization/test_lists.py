"""Rules as a list, and from the name of a rule back to a channel."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from enum import Enum
from types import ModuleType
from typing import Annotated, Any
from uuid import UUID

import pytest
from django.contrib.auth.models import AnonymousUser, Group, Permission, User
from django.core.exceptions import ImproperlyConfigured

from broadcasting import (
    Channel,
    ChannelRoute,
    EncryptedPrivateChannel,
    Lookup,
    PresenceChannel,
    PrivateChannel,
    channel,
    include,
    reverse,
    route,
)
from broadcasting.authorization.lists import register_lists
from broadcasting.authorization.rules import Routes
from broadcasting.checks import authorization as checks
from broadcasting.exceptions import InvalidChannelName, NoSuchRoute
from broadcasting.testing import channel_auth

ADA = User(pk=7, username="ada")
UUID_TEXT = "0b7a1c1e-93f1-4b1f-9a3e-0d8f5c1f6b2a"

pytestmark = pytest.mark.usefixtures("rules", "finding")


def allow(user: Any, **values: Any) -> bool:
    return True


def anyone() -> bool:
    return True


def group_rule(user: Any, group: Group) -> bool:
    return True


def club_rule(
    user: Any,
    group: Annotated[Group, Lookup("name")],  # type: ignore[valid-type]
) -> bool:
    return True


def module(name: str, entries: Any) -> ModuleType:
    made = ModuleType(name)
    made.__dict__["channelpatterns"] = entries
    return made


def register(*entries: Any) -> None:
    register_lists([module("project.channels", [*entries])])


class Color(Enum):
    RED = "red"


def test_a_list_decides_as_decorated_rules_do(rules: Routes) -> None:
    class Staff(ChannelRoute):
        def join(self, user: User, section: str) -> bool:
            return section == "a" and self.channel.endswith("a")

    register(
        route("staff.{section}", Staff, kinds="private"),
        route("open", anyone, allow_anonymous=True),
        route("closed", anyone, guards=[]),
    )
    assert [rule.text for rule in rules] == ["staff.{section}", "open", "closed"]
    assert channel_auth(ADA, "private-staff.a").allowed
    assert channel_auth(ADA, "private-staff.b").denied
    assert channel_auth(ADA, "presence-staff.a").denied
    assert channel_auth(AnonymousUser(), "private-open").allowed
    assert channel_auth(AnonymousUser(), "private-closed").denied
    assert checks.check_rules() == []


def test_nothing_is_registered_by_writing_it_down(rules: Routes) -> None:
    route("a", anyone)
    include([route("b", anyone)], prefix="c")
    assert len(rules) == 0


@pytest.mark.parametrize("prefix", ["shop", "shop."])
def test_an_included_list_stands_behind_its_prefix_only(rules: Routes, prefix: str) -> None:
    shop = module("shop.channels", [route("orders.{order}", allow, name="order")])
    project = module("project.channels", [include(shop, prefix=prefix), route("a", anyone)])
    register_lists([shop, project, ModuleType("empty")])
    assert [rule.text for rule in rules] == ["shop.orders.{order}", "a"]
    assert channel_auth(ADA, "private-shop.orders.1").allowed
    assert channel_auth(ADA, "private-orders.1").denied


def test_lists_include_lists_and_namespaces_add_up(rules: Routes) -> None:
    inner = [route("c", anyone, name="c"), route("d", anyone)]
    middle = [include(inner, prefix="b.{b}", namespace="y"), route("e", anyone, name="e")]
    register(include(middle, prefix="a", namespace="x"), include(inner), include(middle))
    known = [(rule.text, rule.reverse_name) for rule in rules]
    assert known[:3] == [("a.b.{b}.c", "x:y:c"), ("a.b.{b}.d", None), ("a.e", "x:e")]
    assert known[3:5] == [("c", "c"), ("d", None)]
    assert [entry.text for entry in inner] == ["c", "d"]


def test_the_placeholders_of_a_prefix_reach_the_rule() -> None:
    def rule(user: User, tenant: int, room: str) -> bool:
        return (tenant, room) == (3, "a")

    rooms = [route("rooms.{room}", rule, name="room")]
    assert rooms[0].plan.problems
    register(include(rooms, prefix="tenants.{tenant}"))
    assert channel_auth(ADA, "private-tenants.3.rooms.a").allowed
    assert channel_auth(ADA, "private-tenants.4.rooms.a").denied
    assert str(reverse("room", tenant=3, room="a")) == "private-tenants.3.rooms.a"


def test_a_module_is_included_by_its_path(monkeypatch: pytest.MonkeyPatch, rules: Routes) -> None:
    made = module("shop.channels", (route("a", anyone),))
    monkeypatch.setitem(__import__("sys").modules, "shop.channels", made)
    register(include("shop.channels", prefix="b"))
    assert [rule.text for rule in rules] == ["b.a"]


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        ({}, "is a dict"),
        ([anyone], "entry 0: a function is neither route"),
        ([[route("a", anyone)]], "entry 0: a list"),
    ],
)
def test_what_is_no_list_of_rules_says_where(entries: Any, problem: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=f"shop.channels.channelpatterns.*{problem}"):
        register_lists([module("shop.channels", entries)])
    with pytest.raises(ImproperlyConfigured, match=problem):
        include(module("shop.channels", entries))


def test_a_module_without_a_list_cannot_be_included() -> None:
    with pytest.raises(ImproperlyConfigured, match="json has no list channelpatterns"):
        include("json")


@pytest.mark.parametrize(("handler", "options"), [(7, {}), (int, {}), (None, {})])
def test_what_decides_nothing_is_a_type_error(handler: Any, options: Any) -> None:
    with pytest.raises(TypeError):
        route("a", handler, **options)


@pytest.mark.django_db
def test_a_permission_is_a_whole_rule_for_a_model() -> None:
    register(route(Group, perm="auth.view_group", name="group"))
    group = Group.objects.create(name="a")
    ada, bob = (User.objects.create_user(name) for name in ("ada", "bob"))
    ada.user_permissions.add(Permission.objects.get(codename="view_group"))
    assert checks.check_rules() == []
    name = f"private-auth.Group.{group.pk}"
    assert str(reverse("group", group=group)) == name
    assert channel_auth(ada, name).allowed
    assert channel_auth(ada, "private-auth.Group.0").denied
    decision = channel_auth(bob, name)
    assert "the permission auth.view_group" in decision.reason
    seen = channel_auth(ada, name.replace("private", "presence")).user_info
    assert seen == {"id": ada.pk}


@pytest.mark.parametrize("listed", ["tenants.{group}", "auth.Group.{group}"])
def test_a_permission_is_no_rule_for_what_nobody_knows(finding: Any, listed: str) -> None:
    register(route(listed, perm="auth.view_group"))
    (message,) = checks.check_rules()
    assert message.id == "broadcasting.E013"
    assert "nothing says what {group} stands for" in message.msg
    root = User(pk=1, is_superuser=True)
    with pytest.raises(ImproperlyConfigured):
        channel_auth(root, f"private-{listed.replace('{group}', '1')}")


def test_a_prefix_must_not_bring_what_nobody_looks_at() -> None:
    register(include([route(Group, perm="auth.view_group")], prefix="tenants.{tenant}"))
    (message,) = checks.check_rules()
    assert "nothing says what {tenant} stands for" in message.msg


def test_what_a_finder_finds_is_known(finding: Any) -> None:
    register(route("clubs.{club}", perm="auth.view_group"))
    finding.add("club", lambda value: Group(pk=int(value)))
    assert checks.check_rules() == []
    assert channel_auth(User(pk=1, is_superuser=True), "private-clubs.1").allowed


@pytest.fixture
def named(rules: Routes) -> None:
    register(
        route("orders.{order}", allow, name="order"),
        route("groups.{group:name}", group_rule, name="group"),
        route("rooms.{room}", allow, name="room", kinds={"presence"}),
        route("vault.{key}", allow, name="vault", kinds={"encrypted"}),
        route("ids.{uuid:name}", allow, name="id"),
        route("clubs.{group}", club_rule, name="club"),
        route("pair.{a}-{b}", allow, name="pair"),
        route("news", anyone, name="news"),
        route("files.{path:name}", allow, name="file"),
    )
    channel("seen", name="seen")(anyone)


@pytest.mark.usefixtures("named")
@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("order", {"order": 1}, PrivateChannel("orders.1")),
        ("order", {"order": Group(pk=1)}, PrivateChannel("orders.1")),
        ("order", {"order": "a-b"}, PrivateChannel("orders.a-b")),
        ("order", {"order": Color.RED}, PrivateChannel("orders.red")),
        ("order", {"order": date(2026, 2, 3)}, PrivateChannel("orders.2026-02-03")),
        ("group", {"group": Group(pk=1, name="a")}, PrivateChannel("groups.a")),
        ("group", {"group": "b"}, PrivateChannel("groups.b")),
        ("club", {"group": Group(pk=1, name="a")}, PrivateChannel("clubs.a")),
        ("room", {"room": 1}, PresenceChannel("rooms.1")),
        ("vault", {"key": 1}, EncryptedPrivateChannel("vault.1")),
        ("id", {"name": UUID(UUID_TEXT)}, PrivateChannel(f"ids.{UUID_TEXT}")),
        ("pair", {"a": "1-2", "b": 3}, PrivateChannel("pair.1-2-3")),
        ("news", {}, PrivateChannel("news")),
        ("file", {"name": "a.b"}, PrivateChannel("files.a.b")),
        ("seen", {}, PrivateChannel("seen")),
    ],
)
def test_a_name_gives_the_channel_back(name: str, values: Any, expected: Channel) -> None:
    got = reverse(name, **values)
    assert (got, type(got)) == (expected, type(expected))


@pytest.mark.parametrize("value", ["seven", "", True, "1_000"])
def test_a_value_of_another_type_than_the_rules_is_refused(rules: Routes, value: Any) -> None:
    @channel("numbers.{number}", name="number")
    def numbers(user: User, number: int) -> bool:
        return True

    assert str(reverse("number", number=7)) == "private-numbers.7"
    with pytest.raises(NoSuchRoute, match="does not allow number="):
        reverse("number", number=value)


@pytest.mark.usefixtures("named")
@pytest.mark.parametrize(
    ("name", "values", "problem"),
    [
        ("ordr", {}, "No channel rule is called 'ordr'; did you mean 'order'?"),
        ("zzzzz", {}, "known: club, file, group"),
        ("order", {}, "takes order; missing or too many: order"),
        ("order", {"order": 1, "x": 2}, "missing or too many: x"),
        ("news", {"x": 2}, "takes nothing; missing or too many: x"),
        ("order", {"order": "1.items"}, "does not allow order='1.items'"),
        ("order", {"order": ""}, "does not allow order=''"),
        ("order", {"order": Decimal("1.5")}, "does not allow order='1.5'"),
        ("order", {"order": None}, "order is None"),
        ("order", {"order": Group()}, "a row without what it is looked up by"),
        ("group", {"group": User(pk=1)}, "group is a auth.User, where the rule expects a auth.G"),
        ("id", {"name": "x"}, "does not allow name='x'"),
        ("pair", {"a": 1, "b": "2-3"}, "does not allow a='1', b='2-3'"),
    ],
)
def test_what_gives_no_channel_says_why(name: str, values: Any, problem: str) -> None:
    with pytest.raises(NoSuchRoute) as raised:
        reverse(name, **values)
    assert problem in str(raised.value)


@pytest.mark.usefixtures("named")
@pytest.mark.parametrize("value", ['a"}', "a:b", "a\n", "a b", "ä", "a/b", "{x}"])
def test_no_value_leaves_its_place(value: str) -> None:
    """App 14: a name that could be read as part of another signature is never made."""
    with pytest.raises((NoSuchRoute, InvalidChannelName)):
        reverse("order", order=value)


def test_e011_two_rules_of_one_name(rules: Routes) -> None:
    register(route("a", anyone, name="x"), route("b", anyone, name="x"))
    (message,) = checks.check_rules()
    assert message.id == "broadcasting.E011"
    assert "are called 'x'" in message.msg
    with pytest.raises(NoSuchRoute, match="2 channel rules are called 'x'"):
        reverse("x")


def test_a_pattern_that_cannot_be_read_gives_no_channel() -> None:
    register(route("a.{", anyone, name="x"))
    with pytest.raises(NoSuchRoute, match="cannot be read"):
        reverse("x")
