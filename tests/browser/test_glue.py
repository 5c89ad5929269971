"""The glue in a real browser, with the real Echo and pusher-js.

The socket and the auth endpoint are played here, so that they can refuse, stall and fail.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from django.template import Context, Template
from django.test import RequestFactory
from django.utils.http import http_date
from playwright.sync_api import Browser, Page, Request, Route, WebSocketRoute

from tests.browser.conftest import Visitor, Visitors

STATIC = Path(__file__).parent.parent.parent / "broadcasting" / "static"
SITE = "http://glue.test"
OTHER = "http://other.test"
SOCKET_ID = "123.456"

Answer = Callable[[dict[str, list[str]]], tuple[int, Any]]


def grant(form: dict[str, list[str]]) -> tuple[int, Any]:
    """Answer as Django does when everything is allowed."""
    many = form.get("channel_name[]")
    if many is None:
        return 200, {"auth": "app-key:signature"}
    return 200, {name: {"status": 200, "data": {"auth": "app-key:s"}} for name in many}


class Site:
    """A page with the glue, an auth endpoint and a socket."""

    def __init__(self, visitor: Visitor) -> None:
        self.visitor = visitor
        self.forms: list[dict[str, list[str]]] = []
        self.auth_headers: list[dict[str, str]] = []
        self.seen: list[Request] = []
        self.answers: list[Answer] = []
        self.auth_times: list[float] = []
        self.retry_after: str | None = None
        self.sockets: list[WebSocketRoute] = []
        self.subscribed: list[str] = []
        self.accept_sockets = True
        self.head = ""
        visitor.context.route("**/*", self._serve)
        visitor.context.route_web_socket("**/*", self._socket)

    def open(self, *, connected: bool = True, tag: str = "{% echo_script %}") -> Page:
        request = RequestFactory().get("/", headers={"Host": "testserver"})
        scripts = Template("{% load broadcasting %}" + tag).render(Context({"request": request}))
        # Retries wait for milliseconds here.
        quick = """<script>
          document.addEventListener("broadcasting:init", ({detail}) => { window.init = detail; });
          window.readies = [];
          document.addEventListener("broadcasting:ready", (event) => readies.push(event.detail));
        </script>"""
        self.html = f"<!doctype html><title>t</title>{quick}{self.head}{scripts}"
        self.visitor.base_url = SITE
        page = self.visitor.open("/page")
        if connected:
            page.wait_for_function("window.Echo?.socketId?.() !== undefined")
        return page

    def _serve(self, route: Route) -> None:
        request = route.request
        path = request.url.removeprefix(SITE)
        if path == "/page":
            route.fulfill(body=self.html, content_type="text/html")
        elif path.startswith("/static/"):
            route.fulfill(path=STATIC / path.removeprefix("/static/"))
        elif path == "/broadcasting/auth":
            self._authorize(route)
        else:
            self.seen.append(request)
            headers = {"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "*"}
            route.fulfill(json={}, headers=headers)

    def _authorize(self, route: Route) -> None:
        form = parse_qs(route.request.post_data or "")
        self.forms.append(form)
        self.auth_headers.append(route.request.all_headers())
        self.auth_times.append(time.time())
        answer = self.answers.pop(0) if self.answers else grant
        status, data = answer(form)
        if status == 0:
            route.abort()
        elif isinstance(data, str):
            route.fulfill(status=status, body=data)
        else:
            asked = {} if self.retry_after is None else {"Retry-After": self.retry_after}
            route.fulfill(status=status, json=data, headers=asked)

    def _socket(self, socket: WebSocketRoute) -> None:
        if not self.accept_sockets:
            return
        self.sockets.append(socket)
        number = len(self.sockets)
        identity = SOCKET_ID if number == 1 else f"123.{number}"
        socket.on_message(lambda text: self._told(socket, str(text)))
        data = json.dumps({"socket_id": identity, "activity_timeout": 120})
        socket.send(json.dumps({"event": "pusher:connection_established", "data": data}))

    def _told(self, socket: WebSocketRoute, text: str) -> None:
        message = json.loads(text)
        if message["event"] == "pusher:subscribe":
            channel = message["data"]["channel"]
            self.subscribed.append(channel)
            done = {"event": "pusher_internal:subscription_succeeded", "data": "{}"}
            socket.send(json.dumps({**done, "channel": channel}))


@pytest.fixture
def site(chromium: Browser) -> Iterator[Site]:
    visitors = Visitors(chromium)
    yield Site(visitors.new())
    visitors.close()


def header_of(site: Site, page: Page, script: str, url: str = "") -> str | None:
    """Run ``script`` and return the X-Socket-ID that the server saw."""
    page.evaluate(f"async () => {{ {script} }}")
    return site.seen[-1].all_headers().get("x-socket-id")


class TestEcho:
    """window.Echo, as pages expect it."""

    def test_it_is_an_instance_and_the_class_is_reachable(self, site: Site) -> None:
        page = site.open()
        assert page.evaluate("Echo instanceof EchoClass")
        assert page.evaluate("readies.length === 1 && readies[0].echo === Echo")

    def test_it_goes_where_the_page_is_rather_than_where_the_server_thinks_it_is(
        self, site: Site
    ) -> None:
        site.open()
        assert site.sockets[0].url.startswith("ws://glue.test/app/app-key?protocol=7")

    def test_a_public_url_is_obeyed(self, site: Site, settings: Any) -> None:
        url = "http://sockets.test:6001/inner"
        settings.BROADCASTING = {**settings.BROADCASTING, "SERVER": {"PUBLIC_URL": url}}
        site.open()
        assert site.sockets[0].url.startswith("ws://sockets.test:6001/inner/app/app-key?")

    def test_events_are_heard_by_their_bare_names(self, site: Site) -> None:
        page = site.open()
        page.evaluate("Echo.channel('a').listen('OrderShipped', (data) => { window.got = data; })")
        site.sockets[0].send('{"event":"OrderShipped","channel":"a","data":"{\\"id\\":1}"}')
        page.wait_for_function("window.got?.id === 1")

    def test_options_can_be_changed_before_it_is_made(self, site: Site) -> None:
        site.head = """<script>document.addEventListener("broadcasting:init", ({detail}) => {
          detail.options.bearerToken = "a-token"; detail.options.auth.params = {tenant: "7"};
        });</script>"""
        page = site.open()
        page.evaluate("Echo.private('a')")
        page.wait_for_function("Echo.connector.pusher.channel('private-a').subscribed")
        assert site.auth_headers[0]["authorization"] == "Bearer a-token"
        assert site.forms[0]["tenant"] == ["7"]

    def test_running_the_scripts_again_keeps_the_socket(self, site: Site) -> None:
        page = site.open()
        page.evaluate(
            """async () => {
              window.first = Echo;
              for (const old of [...document.querySelectorAll("script[src]")]) {
                const again = document.createElement("script");
                again.src = old.src;
                await new Promise((done) => { again.onload = done; document.head.append(again); });
              }
            }"""
        )
        assert page.evaluate("Echo === first && readies.length === 1")
        assert len(site.sockets) == 1

    def test_a_missing_library_is_said_aloud(self, site: Site) -> None:
        site.visitor.context.route("**/echo.iife.js", lambda route: route.fulfill(status=404))
        site.open(connected=False)
        assert any("did not load" in text for text in site.visitor.complaints)


class TestSocketId:
    """X-Socket-ID, where it belongs and nowhere else."""

    @pytest.mark.parametrize(
        "script",
        [
            "await fetch('/x')",
            "await fetch('x', {method: 'POST', body: 'a=1'})",
            f"await fetch('{SITE}/x', {{headers: {{A: 'b'}}}})",
            "await fetch(new URL('/x', location))",
            "await fetch('/x', {headers: new Headers({A: 'b'})})",
            "await fetch('/x', {headers: [['A', 'b']]})",
            "await fetch(new Request('/x', {method: 'POST', body: 'a=1'}))",
            "await fetch(new Request('/x', {headers: {A: 'b'}}), {headers: {C: 'd'}})",
            "await fetch('/x', new Request('/y', {method: 'POST', body: 'a=1'}))",
        ],
    )
    def test_fetch_carries_it(self, site: Site, script: str) -> None:
        assert header_of(site, site.open(), script) == SOCKET_ID

    def test_everything_else_of_the_request_stays(self, site: Site) -> None:
        page = site.open()
        page.evaluate("fetch('/x', {method: 'PUT', body: JSON.stringify([1]), headers: {A: 'b'}})")
        page.wait_for_function("true")
        page.evaluate("fetch('/end')")
        request = site.seen[0]
        assert (request.method, request.post_data) == ("PUT", "[1]")
        assert request.all_headers()["a"] == "b"

    def test_a_form_keeps_its_boundary(self, site: Site) -> None:
        page = site.open()
        script = """
          const body = new FormData();
          body.set("a", "b");
          await fetch("/x", {method: "POST", body});
        """
        assert header_of(site, page, script) == SOCKET_ID
        request = site.seen[-1]
        boundary = request.all_headers()["content-type"].partition("boundary=")[2]
        assert boundary
        assert (request.post_data or "").startswith(f"--{boundary}")

    def test_an_abort_signal_still_aborts(self, site: Site) -> None:
        script = """async () => {
          const control = new AbortController();
          control.abort();
          return fetch('/x', {signal: control.signal}).catch((error) => error.name);
        }"""
        assert site.open().evaluate(script) == "AbortError"

    def test_an_impossible_request_is_a_rejection_not_an_exception(self, site: Site) -> None:
        script = "() => fetch('/x', {method: 'GET', body: 'no'}).catch((error) => error.name)"
        assert site.open().evaluate(script) == "TypeError"

    @pytest.mark.parametrize(
        "script",
        [
            f"await fetch('{OTHER}/x')",
            f"await fetch(new URL('{OTHER}/x'))",
            f"await fetch(new Request('{OTHER}/x', {{headers: {{A: 'b'}}}}))",
            f"await fetch('{SITE.replace('http:', 'https:')}/x').catch(() => 0)",
            f"await fetch('{SITE}:8080/x')",
        ],
    )
    def test_another_origin_never_learns_it(self, site: Site, script: str) -> None:
        assert header_of(site, site.open(), script) is None

    @pytest.mark.parametrize(
        "script",
        [
            "await fetch('/x', {headers: {'x-socket-id': '9.9'}})",
            "await fetch('/x', {headers: new Headers({'X-Socket-Id': '9.9'})})",
            "await fetch(new Request('/x', {headers: {'X-Socket-ID': '9.9'}}))",
        ],
    )
    def test_one_that_is_there_is_left_alone(self, site: Site, script: str) -> None:
        assert header_of(site, site.open(), script) == "9.9"

    def test_there_is_none_before_the_socket(self, site: Site) -> None:
        site.accept_sockets = False
        assert header_of(site, site.open(connected=False), "await fetch('/x')") is None

    def test_the_null_broadcasters_word_is_not_sent(self, site: Site) -> None:
        page = site.open()
        page.evaluate("window.Echo = new EchoClass({broadcaster: 'null'})")
        assert header_of(site, page, "await fetch('/x')") is None

    def test_htmx_carries_it(self, site: Site) -> None:
        def configured(page: Page, detail: str) -> dict[str, str]:
            headers: dict[str, str] = page.evaluate(
                f"""() => {{
                  const detail = {detail};
                  document.body.dispatchEvent(
                    new CustomEvent("htmx:configRequest", {{bubbles: true, detail}}));
                  return detail.headers;
                }}"""
            )
            return headers

        page = site.open()
        assert configured(page, "{headers: {}, path: '/x'}") == {"X-Socket-ID": SOCKET_ID}
        assert configured(page, "{headers: {'x-socket-id': '9.9'}, path: '/x'}") == {
            "x-socket-id": "9.9"
        }
        assert configured(page, f"{{headers: {{}}, path: '{OTHER}/x'}}") == {}


class TestAuthorization:
    """Channel authorizations that share a request and survive failures."""

    HURRY = """<script>document.addEventListener("broadcasting:init", ({detail}) => {
      detail.options.channelAuthorization = Broadcasting.channelAuthorization({
        endpoint: detail.options.authEndpoint,
        pusher: () => Broadcasting.echo?.connector.pusher,
        headers: () => Broadcasting.echo?.connector.options.auth.headers ?? {},
        refresh: () => Broadcasting.refresh?.(),
        backoffMilliseconds: 10,
      });
    });</script>"""

    def open(self, site: Site) -> Page:
        # In the test of the defaults the tag's own handler is used.
        site.head = self.HURRY
        return site.open()

    def join(self, page: Page, *names: str) -> None:
        page.evaluate(
            """(names) => {
              window.errors ??= {};
              for (const name of names)
                Echo.private(name).error((error) => { errors[name] = error; });
            }""",
            list(names),
        )

    def wait_subscribed(self, page: Page, *names: str) -> None:
        page.wait_for_function(
            """(names) => names.every(
              (name) => Echo.connector.pusher.channel("private-" + name).subscribed)""",
            arg=list(names),
        )

    def error(self, page: Page, name: str) -> dict[str, Any]:
        page.wait_for_function("(name) => window.errors?.[name]", arg=name)
        found: dict[str, Any] = page.evaluate("(name) => errors[name]", name)
        return found

    def test_one_channel_is_a_plain_form(self, site: Site) -> None:
        page = site.open()
        self.join(page, "a")
        self.wait_subscribed(page, "a")
        assert site.forms == [{"socket_id": [SOCKET_ID], "channel_name": ["private-a"]}]
        headers = site.auth_headers[0]
        assert headers["content-type"].startswith("application/x-www-form-urlencoded")
        assert len(headers["x-csrf-token"]) == 64

    def test_channels_of_one_moment_share_a_form(self, site: Site) -> None:
        page = site.open()
        self.join(page, "a", "b", "c")
        self.wait_subscribed(page, "a", "b", "c")
        names = ["private-a", "private-b", "private-c"]
        assert site.forms == [{"socket_id": [SOCKET_ID], "channel_name[]": names}]
        assert site.subscribed == names

    def test_a_form_has_at_most_fifty_channels(self, site: Site) -> None:
        page = site.open()
        names = [f"c{number}" for number in range(51)]
        self.join(page, *names)
        self.wait_subscribed(page, *names)
        assert sorted(len(form.get("channel_name[]", ["one"])) for form in site.forms) == [1, 50]

    def test_each_channel_gets_its_own_answer(self, site: Site) -> None:
        page = self.open(site)
        site.answers = [
            lambda form: (
                200,
                {
                    "private-a": {"status": 200, "data": {"auth": "app-key:s"}},
                    "private-b": {"status": 403, "data": {"message": "not yours"}},
                },
            )
        ]
        self.join(page, "a", "b", "c")
        self.wait_subscribed(page, "a")
        assert self.error(page, "b") == {"type": "AuthError", "error": "not yours", "status": 403}
        assert self.error(page, "c")["status"] == 403
        assert site.subscribed == ["private-a"]

    def test_a_refusal_is_final_and_said_in_the_console(self, site: Site) -> None:
        page = self.open(site)
        site.answers = [lambda form: (403, {"message": "guests may not"})]
        self.join(page, "a")
        assert self.error(page, "a") == {
            "type": "AuthError",
            "error": "guests may not",
            "status": 403,
        }
        assert len(site.forms) == 1
        assert any("private-a was not authorized (403)" in c for c in site.visitor.complaints)

    def test_presence_channels_hear_of_a_refusal_too(self, site: Site) -> None:
        page = self.open(site)
        site.answers = [lambda form: (403, {"message": "no"})]
        page.evaluate("() => { Echo.join('a').error((error) => { window.errors = {a: error}; }) }")
        assert self.error(page, "a")["status"] == 403

    def test_a_401_is_asked_again_once_after_refreshing(self, site: Site) -> None:
        page = self.open(site)
        page.evaluate(
            """() => {
              Broadcasting.refresh = async () => {
                window.refreshed = (window.refreshed ?? 0) + 1;
                Echo.connector.options.auth.headers.Authorization = "Bearer fresh";
              };
            }"""
        )
        site.answers = [lambda form: (401, {})]
        self.join(page, "a", "b")
        self.wait_subscribed(page, "a", "b")
        assert page.evaluate("refreshed") == 1
        assert [h.get("authorization") for h in site.auth_headers] == [None, "Bearer fresh"]

    def test_a_second_401_is_final(self, site: Site) -> None:
        page = self.open(site)
        site.answers = [lambda form: (401, {"message": "who?"})] * 2
        self.join(page, "a")
        assert self.error(page, "a")["status"] == 401
        assert len(site.forms) == 2

    def test_a_refresh_that_fails_does_not_swallow_the_error(self, site: Site) -> None:
        page = self.open(site)
        page.evaluate("() => { Broadcasting.refresh = () => { throw new Error('no network') } }")
        site.answers = [lambda form: (401, {})] * 2
        self.join(page, "a")
        assert self.error(page, "a")["status"] == 401

    @pytest.mark.parametrize("status", [0, 429, 500, 503])
    def test_what_may_pass_is_tried_again(self, site: Site, status: int) -> None:
        page = self.open(site)
        site.answers = [lambda form: (status, {})] * 3
        self.join(page, "a", "b")
        self.wait_subscribed(page, "a", "b")
        assert len(site.forms) == 4

    @pytest.mark.parametrize("kind", ["seconds", "date"])
    def test_the_server_may_say_how_long_to_wait(self, site: Site, kind: str) -> None:
        page = self.open(site)
        # Dates are in whole seconds, so this one is more than one away.
        site.retry_after = "1" if kind == "seconds" else http_date(time.time() + 2)
        site.answers = [lambda form: (503, {})]
        self.join(page, "a")
        self.wait_subscribed(page, "a")
        first, second = site.auth_times
        assert second - first >= 0.9

    @pytest.mark.parametrize("asked", ["soon", "-1", "", "Thu, 01 Jan 1970 00:00:00 GMT"])
    def test_what_makes_no_sense_is_not_waited_for(self, site: Site, asked: str) -> None:
        page = self.open(site)
        site.retry_after = asked
        site.answers = [lambda form: (503, {})]
        self.join(page, "a")
        self.wait_subscribed(page, "a")
        assert len(site.forms) == 2

    @pytest.mark.parametrize("status", [0, 502])
    def test_after_four_tries_it_is_an_error(self, site: Site, status: int) -> None:
        page = self.open(site)
        site.answers = [lambda form: (status, "<h1>Bad gateway</h1>")] * 9
        self.join(page, "a")
        assert self.error(page, "a")["status"] == status
        assert len(site.forms) == 4

    def test_only_what_failed_is_asked_again(self, site: Site) -> None:
        page = self.open(site)
        site.answers = [
            lambda form: (
                200,
                {
                    "private-a": {"status": 200, "data": {"auth": "app-key:s"}},
                    "private-b": {"status": 500, "data": {"message": "broken"}},
                },
            )
        ]
        self.join(page, "a", "b")
        self.wait_subscribed(page, "a", "b")
        assert site.forms[1]["channel_name"] == ["private-b"]

    def test_an_answer_for_a_socket_that_is_gone_is_not_used(self, site: Site) -> None:
        page = self.open(site)

        def meanwhile(form: dict[str, list[str]]) -> tuple[int, Any]:
            # The server comes back with another socket while this answer is on its way.
            site.sockets[0].close(code=4200)
            page.wait_for_function("Echo.socketId() === '123.2'")
            return 200, {"auth": "app-key:for-the-old-socket"}

        site.answers = [meanwhile]
        self.join(page, "a")
        self.wait_subscribed(page, "a")
        assert [form["socket_id"] for form in site.forms] == [[SOCKET_ID], ["123.2"]]
        assert site.subscribed == ["private-a"]

    def test_a_login_page_in_the_way_is_named(self, site: Site) -> None:
        page = self.open(site)
        # A route cannot answer with a redirect that is followed into another route.
        page.evaluate(
            """() => {
              window.fetch = async () => Object.defineProperties(new Response("<html>"), {
                redirected: {value: true},
                url: {value: "http://glue.test/login/"},
              });
            }"""
        )
        self.join(page, "a")
        error = self.error(page, "a")
        assert error["status"] == 302
        assert "redirected to http://glue.test/login/" in error["error"]

    @pytest.mark.parametrize("body", ["<html>", "null", '"yes"'])
    def test_success_without_a_json_object_is_an_error(self, site: Site, body: str) -> None:
        page = self.open(site)
        site.answers = [lambda form: (200, body)]
        self.join(page, "a", "b")
        for name in ("a", "b"):
            assert "did not answer with a JSON object" in self.error(page, name)["error"]

    def test_a_listener_that_throws_costs_the_others_nothing(self, site: Site) -> None:
        page = self.open(site)
        site.answers = [lambda form: (403, {"message": "no"})]
        page.evaluate(
            """() => {
              window.errors = {};
              Echo.private("a").error(() => { throw new Error("from a listener"); });
              Echo.private("b").error((error) => { errors.b = error; });
            }"""
        )
        assert self.error(page, "b")["status"] == 403
