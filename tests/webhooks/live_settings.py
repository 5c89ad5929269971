"""Settings of processes whose applications have webhooks: the test that starts them says which."""

from __future__ import annotations

import json
import os

from tests.live_settings import *  # noqa: F403
from tests.live_settings import BROADCASTING as _BROADCASTING

BROADCASTING = _BROADCASTING | {
    "APPLICATIONS": json.loads(os.environ["WEBHOOK_TEST_APPLICATIONS"]),
    "WEBHOOKS": json.loads(os.environ["WEBHOOK_TEST_SETTINGS"]),
}
