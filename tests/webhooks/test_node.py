"""npm's ``pusher`` takes what we send for Pusher's own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from broadcasting.backplanes.background import BackgroundLoop
from broadcasting.webhooks.office import Office
from tests.node.process import executable, missing
from tests.webhooks.receiver import Receiver
from tests.webhooks.test_office import QUICK, application, tell

NODE = Path(__file__).resolve().parent.parent / "node"
SCRIPT = """
const Pusher = require("pusher");
const {headers, body, secret} = JSON.parse(require("fs").readFileSync(0, "utf8"));
const pusher = new Pusher({appId: "1", key: "app-key", secret, host: "localhost"});
const webhook = pusher.webhook({headers, rawBody: body});
const valid = webhook.isValid();
console.log(JSON.stringify({valid, events: valid && webhook.getEvents()}));
"""


def ask(secret: str, receiver: Receiver) -> dict[str, Any]:
    """Return what the library makes of the first request."""
    request = receiver.requests[0]
    given = {"headers": dict(request.headers), "body": request.body.decode(), "secret": secret}
    done = subprocess.run(
        [executable() or "node", "-e", SCRIPT],
        cwd=NODE,
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=True,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.node
def test_the_node_library_verifies_what_is_sent(receiver: Receiver, configure: Any) -> None:
    """206, 222."""
    if why := missing():
        pytest.skip(why)
    configure(WEBHOOKS=QUICK)
    office = Office(BackgroundLoop("tests-webhooks"))
    tell(office, application(receiver.url, previous_secret="older-secret"), 1)
    receiver.wait_for(1)
    office.stop(2)
    events = [{"name": "channel_occupied", "channel": "c-1"}]
    assert ask("older-secret", receiver) == {"valid": True, "events": events}
    assert ask("app-secret", receiver) == {"valid": False, "events": False}
