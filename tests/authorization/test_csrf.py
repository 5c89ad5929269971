from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from broadcasting.authorization import channel
from broadcasting.authorization.rules import Routes

pytestmark = pytest.mark.django_db

TOKEN = "a" * 32


@pytest.fixture
def strict(rules: Routes) -> Client:
    """A client that is checked as a browser is."""

    @channel("a")
    def rule(user: User) -> bool:
        return True

    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_user("ada"))
    client.cookies["csrftoken"] = TOKEN
    return client


@pytest.fixture
def enforced(settings: Any) -> None:
    settings.BROADCASTING = {**settings.BROADCASTING, "AUTHORIZATION": {"CSRF": True}}


def _post(client: Client, **extra: Any) -> Any:
    data = {"socket_id": "1.1", "channel_name": "private-a"}
    return client.post("/broadcasting/auth", data, **extra)


def test_the_view_is_exempt_by_default(strict: Client) -> None:
    """App 13: CSRF-exempt."""
    assert _post(strict).status_code == 200


@pytest.mark.usefixtures("enforced")
class TestEnforced:
    """App 13: CSRF on request."""

    @pytest.mark.parametrize("header", ["X-CSRFToken", "X-CSRF-TOKEN"])
    def test_djangos_and_echos_header_are_accepted(self, strict: Client, header: str) -> None:
        """App 13: CSRF enforced."""
        assert _post(strict, headers={header: TOKEN}).status_code == 200

    def test_the_form_field_is_accepted(self, strict: Client) -> None:
        data = {"socket_id": "1.1", "channel_name": "private-a", "csrfmiddlewaretoken": TOKEN}
        assert strict.post("/broadcasting/auth", data).status_code == 200

    @pytest.mark.parametrize("headers", [{}, {"X-CSRF-TOKEN": "b" * 32}, {"X-CSRFToken": ""}])
    def test_no_token_or_another_is_403(
        self, strict: Client, headers: dict[str, str], caplog: pytest.LogCaptureFixture
    ) -> None:
        """App 13: CSRF enforced."""
        response = _post(strict, headers=headers)
        assert response.status_code == 403
        assert response.json() == {"message": "This channel may not be joined."}
        assert "CSRF verification failed" in caplog.text

    def test_the_reason_is_shown_in_debug(self, strict: Client, settings: Any) -> None:
        settings.DEBUG = True
        assert "CSRF" in _post(strict).json()["message"]

    def test_no_cookie_is_403(self, strict: Client) -> None:
        del strict.cookies["csrftoken"]
        assert _post(strict, headers={"X-CSRF-TOKEN": TOKEN}).status_code == 403

    def test_another_origin_is_403(self, strict: Client) -> None:
        headers = {"X-CSRF-TOKEN": TOKEN, "Origin": "https://evil.example"}
        assert _post(strict, headers=headers).status_code == 403

    def test_tokens_in_the_session_work(self, strict: Client, settings: Any) -> None:
        settings.CSRF_USE_SESSIONS = True
        session = strict.session
        session["_csrftoken"] = "c" * 32
        session.save()
        assert _post(strict, headers={"X-CSRF-TOKEN": "c" * 32}).status_code == 200
        assert _post(strict, headers={"X-CSRF-TOKEN": TOKEN}).status_code == 403
