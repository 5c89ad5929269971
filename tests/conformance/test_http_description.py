"""The OpenAPI description says what the server does: schemathesis asks whatever it allows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from requests.auth import AuthBase
from schemathesis.checks import CHECKS

from broadcasting.api.routes import ROUTES
from tests import live
from tests.conformance.caller import Caller

DESCRIPTION = Path(__file__).parents[2] / "docs" / "_static" / "openapi.yaml"
EXCEPT = {
    # Whether an attribute applies depends on the channel, which no schema can say.
    "listChannels": ["positive_data_acceptance"],
    "getChannel": ["positive_data_acceptance"],
    # Without a key the path is the site's, which has none such: 404.
    "terminateConnectionsByKey": ["ignored_auth"],
}


class Signature(AuthBase):
    """Signs whatever is about to be sent."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        assert request.url is not None
        assert request.method is not None
        parts = urlsplit(request.url)
        body = request.body or b""
        content = body.encode() if isinstance(body, str) else body
        assert isinstance(content, bytes)
        asked = parse_qsl(parts.query, keep_blank_values=True)
        signed = self.caller.sign(request.method, parts.path, content, extra=dict(asked))
        # Whatever was asked twice stays twice.
        pairs = [*asked, *(pair for pair in signed if pair[0] not in dict(asked))]
        query = "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in pairs)
        request.url = parts._replace(query=query).geturl()
        return request


@pytest.fixture(scope="session")
def api_server(live_database: Path) -> Iterator[live.Server]:
    with live.serving("uvicorn", {"BROADCASTING_TEST_DATABASE": str(live_database)}) as running:
        yield running


def test_every_route_is_described_and_nothing_else() -> None:
    described = schemathesis.openapi.from_path(str(DESCRIPTION)).raw_schema["paths"]
    methods = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}
    found = {
        path: {method.upper() for method in item if method in methods}
        for path, item in described.items()
    }
    assert found == {path: set(ways) for path, ways in ROUTES.items()}


# Whoever restarts it has nobody to ask any more.
schema: Any = schemathesis.openapi.from_path(str(DESCRIPTION)).exclude(operation_id="restart")
# What signs is ours.
schema.config.generation.update(with_security_parameters=False)
schema.config.checks.negative_data_rejection.expected_statuses.append("413")


@schema.parametrize()
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_server_is_as_described(case: Any, api_server: live.Server) -> None:
    """Of what it allows and of what it forbids, whatever comes to mind."""
    if "app_id" in (case.path_parameters or {}):
        case.path_parameters["app_id"] = "app"
    excepted = EXCEPT.get(case.operation.definition.raw["operationId"], [])
    case.call_and_validate(
        base_url=api_server.url,
        auth=Signature(Caller(api_server)),
        excluded_checks=CHECKS.get_by_names(excepted),
    )
