from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.db.models import Exists, Q
from django.http import Http404, HttpRequest, HttpResponseForbidden

from broadcasting.authorization import ChannelRoute, Decision, authorize, channel
from broadcasting.authorization.rules import Routes

ADA = User(pk=7, username="ada")


def _ask(name: str, user: Any = ADA, **attributes: Any) -> Decision:
    request = HttpRequest()
    request.user = user
    for key, value in attributes.items():
        setattr(request, key, value)
    return authorize(request, name, "1.1")


def _rule(pattern: str, result: Any, **options: Any) -> list[Any]:
    calls: list[Any] = []

    @channel(pattern, **options)
    def rule(user: Any, **placeholders: Any) -> Any:
        calls.append(user)
        if isinstance(result, Exception):
            raise result
        return result

    return calls


@pytest.mark.parametrize("result", [None, 0, "", [], {}])
def test_a_falsy_result_lets_the_next_matching_rule_decide(rules: Routes, result: Any) -> None:
    """App 13: falsy continue."""
    first, second = _rule("orders.{a}", result), _rule("orders.{b}", True)
    assert _ask("private-orders.1").allowed
    assert (len(first), len(second)) == (1, 1)


def test_falsy_results_only_are_a_refusal_that_names_the_rules(rules: Routes) -> None:
    _rule("orders.{a}", None)
    _rule("orders.{b}", 0)
    decision = _ask("private-orders.1")
    assert decision.status == 403
    assert decision.reason.startswith("no matching rule allowed user 7 (asked: ")


@pytest.mark.parametrize("result", [False, PermissionDenied("not yours"), Http404("gone")])
def test_false_and_exceptions_of_refusal_end_it(rules: Routes, result: Any) -> None:
    """App 13: False stop."""
    _rule("orders.{a}", result)
    second = _rule("orders.{b}", True)
    decision = _ask("private-orders.1")
    assert (decision.status, second) == (403, [])
    assert "rule" in decision.reason
    if isinstance(result, Exception):
        assert str(result) in decision.reason


async def _later() -> bool:
    return False


async def _many() -> Any:
    yield False


@pytest.mark.parametrize(
    "forgotten",
    [
        lambda: _awaited(_later),
        lambda: (each for each in "ab"),
        lambda: _many(),
        lambda: User.objects.exists,
        lambda: User,
        lambda: filter(lambda number: number == 7, [99]),
        lambda: Exists(User.objects.filter(pk=99)),
        lambda: Q(pk=99),
        lambda: User.objects,
        lambda: Future(),
        lambda: (False, "not a member"),
        lambda: HttpResponseForbidden(),
        lambda: PermissionDenied(),
        lambda: NotImplemented,
    ],
    ids=[
        "an await",
        "a generator",
        "an async generator",
        "a call",
        "an instance",
        "a filter",
        "an expression",
        "a condition",
        "a manager",
        "a future",
        "a pair",
        "a response",
        "a raise",
        "not implemented",
    ],
)
def test_what_was_not_asked_to_its_end_allows_nobody(rules: Routes, forgotten: Any) -> None:
    second = _rule("orders.{b}", True)

    @channel("orders.{a}", kinds="private")
    def rule(user: Any, a: str) -> Any:
        return forgotten()

    rules._routes.reverse()
    decision = _ask("private-orders.1")
    assert (decision.status, decision.answer, second) == (500, None, [])
    assert "forgotten" in decision.reason


def _awaited(function: Any) -> Any:
    """What an async rule returns that forgot the ``await`` of another call."""

    async def rule() -> Any:
        return function()

    return rule()


@pytest.mark.django_db
@pytest.mark.parametrize("answer", [1, "yes", [7], ADA, {"id": 7}])
def test_anything_else_that_is_true_allows(rules: Routes, answer: Any) -> None:
    _rule("orders.{a}", answer)
    assert _ask("private-orders.1").allowed


def test_an_exception_is_a_failure_and_ends_it(rules: Routes) -> None:
    error = KeyError("oops")
    _rule("orders.{a}", error)
    second = _rule("orders.{b}", True)
    decision = _ask("private-orders.1")
    assert (decision.status, decision.error, second) == (500, error, [])
    assert decision.denied


@pytest.mark.parametrize("result", [True, 1, "yes", {"id": 1}, object()])
def test_anything_truthy_allows_a_private_channel(rules: Routes, result: Any) -> None:
    _rule("orders.{a}", result)
    assert _ask("private-orders.1").allowed


def test_the_first_registered_rule_is_asked_first(rules: Routes) -> None:
    first, second = _rule("orders.{a}", True), _rule("orders.1", True)
    assert _ask("private-orders.1").allowed
    assert (len(first), len(second)) == (1, 0)


async def _true() -> bool:
    return True


def test_async_rules_and_classes_are_run(rules: Routes) -> None:
    """App 13: async callbacks."""

    @channel("a.{name}")
    async def function(user: User, name: str) -> bool:
        return await _true() and name == "x"

    @channel("b.{name}")
    class Room(ChannelRoute):
        async def join(self, user: User, name: str) -> dict[str, Any]:
            return {"id": user.pk, "here": [self.channel, self.socket_id, type(self.request)]}

    assert _ask("private-a.x").allowed
    assert _ask("private-a.y").denied
    info = _ask("private-b.x")
    assert info.allowed


def test_a_class_has_one_instance_a_question_and_knows_what_is_asked(rules: Routes) -> None:
    seen: list[Any] = []

    @channel("b.{name}")
    class Room(ChannelRoute):
        def join(self, user: User, name: str) -> bool:
            seen.append((self, self.channel, self.socket_id, self.request.META["X"]))
            return True

    assert _ask("private-b.x", META={"X": 1}).allowed
    assert _ask("presence-b.x", META={"X": 2}).allowed
    assert [s[1:] for s in seen] == [("private-b.x", "1.1", 1), ("presence-b.x", "1.1", 2)]
    assert seen[0][0] is not seen[1][0]


def test_a_presence_rules_dict_is_what_the_others_see(rules: Routes) -> None:
    _rule("chat.{room}", {"id": 7, "name": "Ada"})
    decision = _ask("presence-chat.1")
    assert decision.user_info == {"id": 7, "name": "Ada"}
    assert decision.answer is not None
    assert decision.answer["channel_data"] == '{"user_id":"7","user_info":{"id":7,"name":"Ada"}}'


def test_user_info_that_cannot_be_encoded_is_a_failure_that_names_the_rule(rules: Routes) -> None:
    _rule("chat.{room}", {"id": 7, "who": ADA})
    decision = _ask("presence-chat.1")
    assert decision.status == 500
    assert "rule returned user info that cannot be sent" in decision.reason


@pytest.mark.parametrize("guest", [None, AnonymousUser()])
@pytest.mark.parametrize("name", ["private-orders.1", "presence-orders.1"])
def test_guests_are_refused_before_any_rule_runs(rules: Routes, guest: Any, name: str) -> None:
    """App 13: guest and AnonymousUser."""
    calls = _rule("orders.{a}", True)
    decision = _ask(name, guest)
    assert (decision.status, calls) == (403, [])
    assert "guest" in decision.reason


@pytest.mark.parametrize("guest", [None, AnonymousUser()])
def test_a_rule_may_want_guests(rules: Routes, guest: Any) -> None:
    calls = _rule("orders.{a}", {"id": "visitor-1"}, allow_anonymous=True)
    decision = _ask("private-orders.1", guest)
    assert decision.allowed
    assert set(decision.answer or ()) == {"auth"}
    assert calls == [guest]
    assert _ask("presence-orders.1", guest).allowed


def test_a_guest_of_a_presence_channel_needs_an_id(rules: Routes) -> None:
    _rule("chat.{a}", {"name": "somebody"}, allow_anonymous=True)
    _rule("room.{a}", True, allow_anonymous=True)
    assert "'id'" in _ask("presence-chat.1", AnonymousUser()).reason
    assert "'id'" in _ask("presence-room.1", AnonymousUser()).reason


def test_a_request_without_a_user_is_a_guests(rules: Routes) -> None:
    _rule("orders.{a}", True)
    assert authorize(HttpRequest(), "private-orders.1", "1.1").status == 403


def test_kinds_limit_a_rule(rules: Routes) -> None:
    """App 13: kinds."""
    private = _rule("chat.{room}", True, kinds="private")
    presence = _rule("chat.{room}", {"id": 1}, kinds={"presence"})
    assert rules.duplicates == []
    assert _ask("private-chat.1").allowed
    assert (len(private), len(presence)) == (1, 0)
    assert _ask("presence-chat.1").allowed
    assert (len(private), len(presence)) == (1, 1)


def test_a_rule_of_another_kind_is_named_in_the_reason(rules: Routes) -> None:
    _rule("chat.{room}", True, kinds=["presence"])
    decision = _ask("private-chat.1")
    assert decision.status == 403
    assert "but not for private channels" in decision.reason


def test_the_nearest_patterns_are_named_when_none_matches(rules: Routes) -> None:
    assert "no rule is registered at all" in _ask("private-order.1").reason
    _rule("orders.{order}", True)
    _rule("something.else.entirely", True)
    decision = _ask("private-order.1")
    assert decision.reason == "no rule matches 'order.1'; the nearest are orders.{order}"


@pytest.mark.parametrize("channel", ["private-private-orders.1", "presence-private-orders.1"])
def test_a_prefix_too_many_is_told(rules: Routes, channel: str) -> None:
    _rule("orders.{order}", True)
    assert "leave out 'private-': Echo" in _ask(channel).reason


def test_public_channels_are_not_signed(rules: Routes) -> None:
    calls = _rule("orders.{a}", True)
    for name in ("orders.1", "public-orders.1", "privateorders.1"):
        assert _ask(name).status == 403
    assert calls == []


def test_a_rule_that_cannot_be_called_is_a_failure(rules: Routes) -> None:
    @channel("orders.{order}")
    def rule(user: User, ordre: int) -> bool:
        return True

    decision = _ask("private-orders.1")
    assert decision.status == 500
    assert isinstance(decision.error, ImproperlyConfigured)
    assert "{order}" in decision.reason
    assert "'ordre'" in decision.reason


def test_a_pattern_that_cannot_be_read_never_matches(rules: Routes) -> None:
    _rule("orders.{", True)
    assert _ask("private-orders.1").status == 403


def test_names_above_the_applications_limit_are_malformed(rules: Routes, settings: Any) -> None:
    _rule("{a}", True)
    settings.BROADCASTING = {
        "APPLICATIONS": [{"id": "a", "key": "k", "secret": "s", "max_channel_name_length": 20}]
    }
    assert _ask("private-" + "a" * 12).status == 200
    assert _ask("private-" + "a" * 13).status == 400
