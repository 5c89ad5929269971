from __future__ import annotations

import pytest

from broadcasting.protocol import signing
from broadcasting.protocol.application import Application

PUSHER = Application(id="3", key="278d425bdf160c739803", secret="7ad3773142a6692b25b8")
PHP = Application(id="1", key="thisisaauthkey", secret="thisisasecret")
OURS = Application(id="app", key="app-key", secret="app-secret")
NAMELESS = Application(id="1", key="foo", secret="bar")

CHANNELS = "1234.1234:presence-foobar:%s"
MR_CHANNELS = '{"user_id":10,"user_info":{"name":"Mr. Channels"}}'
MR_PUSHER = '{"user_id":10,"user_info":{"name":"Mr. Pusher"}}'
ADA = '{"user_id":"42","user_info":{"id":42,"name":"Ada"}}'

VECTORS = [
    pytest.param(
        PUSHER,
        signing.channel_text("1234.1234", "private-foobar"),
        "58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4",
        id="private",
    ),
    pytest.param(
        PUSHER,
        signing.channel_text("1234.1234", "presence-foobar", MR_CHANNELS),
        "31935e7d86dba64c2a90aed31fdc61869f9b22ba9d8863bba239c03ca481bc80",
        id="presence",
    ),
    pytest.param(
        PUSHER,
        signing.channel_text("1234.1234", "presence-foobar", MR_PUSHER),
        "afaed3695da2ffd16931f457e338e6c9f2921fa133ce7dac49f529792be6304c",
        id="presence, the text behind what the documentation prints",
    ),
    pytest.param(
        PUSHER,
        signing.user_text("1234.1234", '{"id":"12345"}'),
        "4708d583dada6a56435fb8bc611c77c359a31eebde13337c16ab43aa6de336ba",
        id="user",
    ),
    pytest.param(
        PUSHER,
        signing.request_text(
            "POST",
            "/apps/3/events",
            {
                "body_md5": "ec365a775a4cd0599faeb73354201b6f",
                "auth_version": "1.0",
                "auth_key": PUSHER.key,
                "auth_timestamp": "1353088179",
            },
        ),
        "da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c",
        id="POST request",
    ),
    pytest.param(
        PUSHER,
        signing.request_text(
            "GET",
            "/apps/3/channels",
            {
                "info": "user_count",
                "filter_by_prefix": "presence-",
                "auth_version": "1.0",
                "auth_key": PUSHER.key,
                "auth_timestamp": "1353088179",
            },
        ),
        "16819168891cb5dfd72b5c7a5d3d602605b26c6ba1930033b5e2eeeb65010291",
        id="GET request",
    ),
    pytest.param(
        PUSHER,
        b'{"time_ms":1327078148132,"events":[{"name":"channel_occupied","channel":"foo"}]}',
        "fb9ffd9bb470525310582460d3ff6932ffa2fd1092becb5c1e73369a0d6cbfb4",
        id="webhook",
    ),
    pytest.param(
        PHP,
        signing.channel_text("1.1", "testing_pusher-php"),
        "751ccc12aeaa79d46f7c199bced5fa47527d3480b51fe61a0bd10438241bd52d",
        id="PHP SDK",
    ),
    pytest.param(
        PHP,
        signing.channel_text("45055.28877557", "-azAZ9_=@,.;"),
        "d1c20ad7684c172271f92c108e11b45aef07499b005796ae1ec5beb924f361c4",
        id="odd characters",
    ),
    pytest.param(
        NAMELESS,
        signing.channel_text("345.23", "private-encrypted-channel"),
        "fff0503dfe4929f5162efe4d1dacbce524b0d8e7e1331117a8651c0e74d369e3",
        id="encrypted",
    ),
    pytest.param(
        OURS,
        signing.channel_text("123.456", "private-orders.1"),
        "d5ddd577b56ebc9ed89f55ec4e3aa51f5f2b5691714eda41028fb9e7ab2b7283",
        id="our private",
    ),
    pytest.param(
        OURS,
        signing.channel_text("123.456", "presence-chat.1", ADA),
        "c13e5be258650df6ee6fdf66975c372524e05629cb2b0df7839a4cb1d88608f6",
        id="our presence",
    ),
    pytest.param(
        OURS,
        signing.user_text("123.456", '{"id":"42","user_info":{"name":"Ada"}}'),
        "8aaff40b229b452125be7a504df78934e0859eba96b11d7b14485bfcbf785a5a",
        id="our user",
    ),
    pytest.param(
        OURS,
        signing.request_text(
            "post",
            "/apps/app-id/events",
            {
                "auth_signature": "not part of it",
                "auth_key": "app-key",
                "auth_timestamp": "1700000000",
                "auth_version": "1.0",
                "body_md5": "c0e2777b7a59b7eb3fb1064e5ebc6f20",
            },
        ),
        "92ff28a9f603e44ff33b5a35246a1c51b03625523b02479b4b4ce7cafa677d56",
        id="our request",
    ),
]


@pytest.mark.parametrize(("application", "text", "signature"), VECTORS)
def test_published_signatures_are_made_and_verified(
    application: Application, text: str | bytes, signature: str
) -> None:
    """App 1. 70."""
    assert signing.sign(application.secret, text) == signature
    assert signing.verify(application.secrets, text, signature)


TEXT = signing.channel_text("123.456", "private-orders.1")
SIGNATURE = signing.sign("app-secret", TEXT)


def verified(auth: str | None, text: str = TEXT, application: Application = OURS) -> bool:
    return signing.verify_authorization(application, text, auth)


def test_what_the_auth_endpoint_answers_is_what_the_server_takes() -> None:
    """69."""
    assert signing.authorization(OURS, TEXT) == f"app-key:{SIGNATURE}"
    assert verified(signing.authorization(OURS, TEXT))


@pytest.mark.parametrize(
    "text",
    [
        signing.channel_text("123.457", "private-orders.1"),
        signing.channel_text("123.456", "private-orders.2"),
        signing.channel_text("123.456", "private-orders.1", "{}"),
        signing.user_text("123.456", "private-orders.1"),
    ],
)
def test_a_signature_is_good_for_one_socket_and_one_channel(text: str) -> None:
    """72."""
    assert not verified(f"app-key:{SIGNATURE}", text)


def test_another_applications_secret_does_not_sign_for_this_one() -> None:
    """72, 219."""
    assert not verified(f"app-key:{signing.sign('second-secret', TEXT)}")


@pytest.mark.parametrize("key", ["second-key", "App-Key", "app-key ", "", "app", "app-keyy"])
def test_another_key_in_front_of_a_good_signature_is_refused(key: str) -> None:
    """73."""
    assert not verified(f"{key}:{SIGNATURE}")


@pytest.mark.parametrize(
    "auth",
    [None, "", ":", "app-key", "app-key:", SIGNATURE, f":{SIGNATURE}", f"app-key{SIGNATURE}",
     f"app-key::{SIGNATURE}", f"app-key:{SIGNATURE}:", f"app-key:{SIGNATURE} ",
     f" app-key:{SIGNATURE}", f"app-key:{SIGNATURE[:-1]}", f"app-key;{SIGNATURE}",
     "app-key:é", "é:app", "app-key:\ud800", "\ud800:x"],
)  # fmt: skip
def test_what_is_not_a_key_a_colon_and_a_signature_is_refused(auth: str | None) -> None:
    """74."""
    assert not verified(auth)


def test_hex_is_lower_case() -> None:
    """75."""
    assert not verified(f"app-key:{SIGNATURE.upper()}")


def test_a_retired_secret_still_verifies_and_no_longer_signs() -> None:
    """222."""
    rotated = Application(id="app", key="app-key", secret="new", previous_secret="app-secret")
    assert verified(f"app-key:{SIGNATURE}", application=rotated)
    assert verified(f"app-key:{signing.sign('new', TEXT)}", application=rotated)
    assert not verified(f"app-key:{signing.sign('older', TEXT)}", application=rotated)
    assert signing.authorization(rotated, TEXT) == f"app-key:{signing.sign('new', TEXT)}"


def test_secrets_are_not_shown() -> None:
    rotated = Application(id="app", key="app-key", secret="new", previous_secret="old")
    assert "new" not in repr(rotated)
    assert "old" not in repr(rotated)


def test_a_request_is_signed_with_its_keys_lowered_and_sorted_and_its_values_as_they_are() -> None:
    text = signing.request_text("get", "/apps/1/channels", {"B": "X Y&z", "a": "é", "AB": ""})
    assert text == "GET\n/apps/1/channels\na=é&ab=&b=X Y&z"


def test_an_empty_channel_data_is_none() -> None:
    """As the server libraries have it, which leave the third part out for it."""
    text = signing.channel_text("123.456", "private-orders.1")
    assert signing.channel_text("123.456", "private-orders.1", "") == text
