"""Who signs in as whom: what the project's resolver says, and what is signed."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import AnonymousUser, Group, User
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest

from broadcasting import user_resolver
from broadcasting.applications import Application
from broadcasting.authorization import Identification, aidentify, identify
from broadcasting.authorization.answers import Signer, sign_user
from broadcasting.authorization.guards import KnownIdentity
from broadcasting.authorization.outcomes import Refused
from broadcasting.authorization.users import UserResolver
from broadcasting.exceptions import PayloadError
from broadcasting.protocol.messages import Signin
from broadcasting.protocol.protocol import Protocol
from broadcasting.protocol.protocol import User as SignedIn

pytestmark = pytest.mark.usefixtures("resolving")

ADA = User(pk=7, username="ada")
DOCS = Application(id="3", key="278d425bdf160c739803", secret="7ad3773142a6692b25b8")
OURS = Application(id="app", key="app-key", secret="app-secret")


def _identify(user: Any = ADA, socket_id: str = "123.456") -> Identification:
    request = HttpRequest()
    request.user = user
    return identify(request, socket_id, identity=KnownIdentity(request))


def _data(user: Any = ADA) -> dict[str, Any]:
    found = _identify(user)
    assert found.allowed, found.reason
    assert found.answer is not None
    data: dict[str, Any] = json.loads(found.answer["user_data"])
    assert data == json.loads(json.dumps(found.user_data))
    return data


@pytest.mark.parametrize(
    ("application", "socket_id", "data", "signature"),
    [
        (
            DOCS,
            "1234.1234",
            {"id": "12345"},
            "4708d583dada6a56435fb8bc611c77c359a31eebde13337c16ab43aa6de336ba",
        ),
        (
            OURS,
            "123.456",
            {"id": "42", "user_info": {"name": "Ada"}},
            "8aaff40b229b452125be7a504df78934e0859eba96b11d7b14485bfcbf785a5a",
        ),
    ],
)
def test_the_published_vectors(
    application: Application, socket_id: str, data: dict[str, Any], signature: str
) -> None:
    """App 1: user authentication."""
    answer = sign_user(Signer(application=application, ours=False), socket_id, data)
    assert answer == {
        "auth": f"{application.key}:{signature}",
        "user_data": json.dumps(data, separators=(",", ":")),
    }


class TestWithoutAResolver:
    def test_a_user_is_the_primary_key_and_no_more(self) -> None:
        assert _data() == {"id": "7"}

    @pytest.mark.parametrize("user", [None, AnonymousUser()])
    def test_a_guest_is_refused(self, user: Any) -> None:
        found = _identify(user)
        assert (found.status, found.denied, found.answer) == (403, True, None)
        assert "guest" in found.reason

    def test_a_user_without_a_key_is_refused(self) -> None:
        found = _identify(User())
        assert found.status == 403
        assert "primary key" in found.reason

    def test_a_row_of_another_table_is_no_user_of_that_key(self) -> None:
        found = _identify(Group(pk=7))
        assert found.status == 403
        assert "a row of auth.Group has the key of some user" in found.reason

    def test_such_a_row_may_say_what_it_is_known_by(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(Group, "get_broadcast_id", lambda group: f"group-{group.pk}", False)
            assert _data(Group(pk=7)) == {"id": "group-7"}
        user_resolver(lambda group: {"id": f"g-{group.pk}"})
        assert _data(Group(pk=7)) == {"id": "g-7"}

    def test_a_malformed_socket_id_is_400(self) -> None:
        assert _identify(socket_id="1:2").status == 400


class TestTheResolver:
    def test_it_says_who_somebody_is(self, resolving: UserResolver) -> None:
        @user_resolver
        def resolve(user: User) -> dict[str, Any]:
            return {"id": 42, "user_info": {"name": user.username}, "watchlist": [8, "9", 8]}

        assert resolving.function is resolve
        assert _data() == {"id": "42", "user_info": {"name": "ada"}, "watchlist": ["8", "9"]}

    def test_our_server_accepts_what_it_says(self) -> None:
        user_resolver(lambda user: {"id": 42, "user_info": {"x": "Ω"}, "watchlist": [User(pk=8)]})
        answer = _identify().answer
        assert answer is not None
        signed = Protocol(OURS, "123.456", now=0).sign_in(Signin(**answer))
        assert signed == SignedIn(id="42", info={"x": "Ω"}, watchlist=("8",))

    def test_it_may_ask_for_the_request(self) -> None:
        seen: list[HttpRequest] = []

        @user_resolver
        def resolve(user: User, request: HttpRequest) -> dict[str, Any]:
            seen.append(request)
            return {"id": user.pk}

        assert _data() == {"id": "7"}
        assert seen[0].user is ADA

    def test_it_may_be_async(self) -> None:
        @user_resolver
        async def resolve(user: User) -> dict[str, Any]:
            return {"id": user.pk}

        assert _data() == {"id": "7"}

    async def test_it_is_asked_from_async_code_too(self) -> None:
        user_resolver(lambda user: {"id": "x"})
        request = HttpRequest()
        request.user = ADA
        found = await aidentify(request, "1.1", identity=KnownIdentity(request))
        assert found.user_data == {"id": "x"}

    def test_the_id_is_the_primary_key_if_left_out(self) -> None:
        user_resolver(lambda user: {"user_info": {"name": "Ada"}})
        assert _data() == {"id": "7", "user_info": {"name": "Ada"}}

    def test_what_else_it_says_is_signed_as_well(self) -> None:
        user_resolver(lambda user: {"name": "Ada", "id": 0})
        assert _data() == {"id": "0", "name": "Ada"}

    def test_an_object_with_declared_attributes_will_do(self) -> None:
        @dataclass
        class Card:
            id: int
            user_info: dict[str, str] = field(default_factory=lambda: {"name": "Ada"})
            _secret: str = "x"

        user_resolver(lambda user: Card(id=3))
        assert _data() == {"id": "3", "user_info": {"name": "Ada"}}

    @pytest.mark.parametrize("result", [None, False, {}, "", 0])
    def test_what_is_falsy_refuses(self, result: Any) -> None:
        user_resolver(lambda user: result)
        found = _identify()
        assert found.status == 403
        assert f"returned {result!r} for user 7" in found.reason

    @pytest.mark.parametrize("error", [PermissionDenied("not you"), Http404("not you")])
    def test_it_may_refuse_by_raising(self, error: Exception) -> None:
        @user_resolver
        def resolve(user: User) -> None:
            raise error

        assert _identify().status == 403
        assert "not you" in _identify().reason

    @pytest.mark.parametrize("result", [True, "ada", 7, ADA, ({"id": 1}, "why"), lambda: {}])
    def test_what_is_no_answer_is_a_mistake(self, result: Any) -> None:
        user_resolver(lambda user: result)
        found = _identify()
        assert found.status == 500
        assert isinstance(found.error, TypeError)

    def test_what_it_raises_is_logged_with_its_traceback(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        @user_resolver
        def resolve(user: User) -> None:
            raise RuntimeError("broken")

        assert _identify().status == 500
        (record,) = caplog.records
        assert record.exc_info is not None
        assert record.getMessage() == "Failed on a sign-in: RuntimeError: broken"

    def test_what_cannot_be_sent_is_a_mistake(self) -> None:
        user_resolver(lambda user: {"id": 1, "user_info": user})
        assert isinstance(_identify().error, PayloadError)

    @pytest.mark.parametrize("user_id", ["", "x" * 129, "a\nb", "\ud800"])
    def test_an_id_that_no_server_takes_is_refused(
        self, user_id: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        user_resolver(lambda user: {"id": user_id})
        assert _identify().status == 403
        assert "Refused a sign-in: the id of a user is text of 1 to 128" in caplog.text

    @pytest.mark.parametrize(
        ("said", "reason"),
        [
            ({"user_info": {"x": "y" * 1024}}, "the user info is larger than 1 KB"),
            ({"user_info": "y" * 1025}, "the user info is larger than 1 KB"),
            ({"other": "y" * 66_000}, "larger than 65536 bytes"),
            ({"other": '"' * 25_000}, "larger than 65536 bytes"),
        ],
    )
    def test_what_the_server_would_not_take_is_not_signed(
        self, said: dict[str, Any], reason: str
    ) -> None:
        user_resolver(lambda user: {"id": 7, **said})
        found = _identify()
        assert found.status == 403
        assert reason in found.reason

    @pytest.mark.parametrize("said", [{"user_info": "y" * 1024}, {"other": "y" * 65_000}])
    def test_what_it_takes_is(self, said: dict[str, Any]) -> None:
        user_resolver(lambda user: {"id": 7, **said})
        assert _identify().status == 200

    @pytest.mark.parametrize("user_id", [True, False, {"a": 1}, b"x", [1], 1.5])
    def test_an_id_of_another_kind_is_a_mistake(self, user_id: Any) -> None:
        user_resolver(lambda user: {"id": user_id})
        assert isinstance(_identify().error, TypeError)

    def test_an_id_may_be_a_uuid(self) -> None:
        user_resolver(lambda user: {"id": UUID(int=7)})
        assert _data()["id"] == str(UUID(int=7))

    def test_one_that_cannot_be_called_is_never_called(self) -> None:
        user_resolver(lambda user, other: {})
        found = _identify()
        assert found.status == 500
        assert "other" in found.reason

    def test_a_class_is_none(self) -> None:
        with pytest.raises(TypeError, match="is a function"):
            user_resolver(UserResolver)
        with pytest.raises(TypeError, match="is a function"):
            user_resolver({"id": 1})  # type: ignore[type-var]


class TestTheWatchlist:
    def test_a_hundred_are_watched(self, caplog: pytest.LogCaptureFixture) -> None:
        user_resolver(lambda user: {"watchlist": range(101)})
        assert _data()["watchlist"] == [str(n) for n in range(100)]
        assert "has more than 100 users; the first are watched" in caplog.text

    def test_nobody_is_told_of_a_hundred(self, caplog: pytest.LogCaptureFixture) -> None:
        user_resolver(lambda user: {"watchlist": range(100)})
        assert len(_data()["watchlist"]) == 100
        assert caplog.records == []

    def test_ids_that_nobody_has_are_left_out(self, caplog: pytest.LogCaptureFixture) -> None:
        user_resolver(lambda user: {"watchlist": ["8", "", "x" * 129]})
        assert _data()["watchlist"] == ["8"]
        assert "2 left out" in caplog.text

    def test_nothing_is_nobody(self) -> None:
        user_resolver(lambda user: {"watchlist": [None, True, 8, User()]})
        assert _data()["watchlist"] == ["8"]

    def test_one_without_end_is_not_read_to_its_end(self) -> None:
        user_resolver(lambda user: {"watchlist": count()})
        assert len(_data()["watchlist"]) == 100

    @pytest.mark.django_db
    def test_a_table_is_not_read_whole(self, django_assert_num_queries: Any) -> None:
        user_resolver(lambda user: {"watchlist": User.objects.all()})
        with django_assert_num_queries(1) as queries:
            _data()
        assert "LIMIT 1000" in queries.captured_queries[0]["sql"]

    @pytest.mark.parametrize("watched", [None, []])
    def test_nobody_may_be_watched(self, watched: Any) -> None:
        user_resolver(lambda user: {"watchlist": watched})
        assert not _data().get("watchlist")

    @pytest.mark.parametrize("watched", ["8", {"8": True}, 8])
    def test_what_is_no_list_is_a_mistake(self, watched: Any) -> None:
        user_resolver(lambda user: {"watchlist": watched})
        assert _identify().status == 500


def test_an_id_is_checked_before_it_is_signed() -> None:
    with pytest.raises(Refused):
        sign_user(Signer(application=OURS, ours=True), "1.1", {"id": 7})
