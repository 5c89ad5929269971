"""Echo where secrets are kept and users sign in: Django's views and its encryption."""

from __future__ import annotations

import pytest

from tests.live import Server
from tests.node.conftest import Pages

pytestmark = pytest.mark.node


@pytest.fixture
def pages(pages_of_both: Pages) -> Pages:
    return pages_of_both


def test_an_encrypted_channel_is_guarded(server: Server, pages: Pages) -> None:
    page = pages(server, "ada")
    page.connect()
    page.do("join", kind="encryptedPrivate", name="orders.13")
    error = page.wait("refused", name="orders.13")["error"]
    assert (error["type"], error["status"]) == ("AuthError", 403)


def test_nobody_whispers_on_an_encrypted_channel(server: Server, pages: Pages) -> None:
    """The library itself refuses."""
    page = pages(server, "ada")
    page.connect()
    page.join("encryptedPrivate", "orders.6")
    with pytest.raises(AssertionError, match="not currently supported for encrypted"):
        page.do("whisper", kind="encryptedPrivate", name="orders.6", data=1, **{"as": "typing"})


def test_signing_in(server: Server, pages: Pages) -> None:
    """144, 154, 260: the user-auth view says who it is, and whom to watch."""
    ada, bob = pages(server, "ada"), pages(server, "bob")
    ada.connect()
    ada.do("signin")
    assert len(ada.wait("watchlist", name="offline")["data"]["user_ids"]) == 2
    bob.connect()
    bob.do("signin")
    bob.wait("own")
    user = bob.do("whoami")["user"]
    assert user["user_info"] == {"name": "bob"}
    bobs_id = user["id"]
    assert ada.wait("watchlist", name="online")["data"]["user_ids"] == [bobs_id]
    ada.dispatch(f"#server-to-user-{bobs_id}", 1)
    assert bob.wait("user", name="Happened")["data"] == {"number": 1}
    bob.close()
    assert ada.wait("watchlist", name="offline")["data"]["user_ids"] == [bobs_id]
    assert not ada.seen("user")


def test_a_guest_does_not_sign_in(server: Server, pages: Pages) -> None:
    page = pages(server)
    page.connect()
    page.do("signin")
    error = page.wait("user", name="pusher:signin_error")["data"]
    assert (error["type"], error["status"]) == ("AuthError", 403)
    page.join("channel", "ticker")
