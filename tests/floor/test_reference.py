"""The reference pages say what the code says."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings
from django.utils.module_loading import import_string

from broadcasting import backplanes, broadcasters, conf, queues, registry
from broadcasting.api.counters import Counters as ApiCounters
from broadcasting.applications import Application
from broadcasting.checks import broadcasters as broadcasters_checks
from broadcasting.checks import (
    client_events,
    encryption,
    families,
    limits,
    locks,
    settings,
    site,
    webhooks,
)
from broadcasting.conf import (
    AuthorizationSettings,
    BackendSettings,
    ServerSettings,
    Settings,
    WebhookSettings,
)
from broadcasting.server.counters import Counters as ServerCounters

ROOT = Path(__file__).resolve().parent.parent.parent
CHECKS = (ROOT / "docs" / "reference" / "checks.md").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `?([\w ]+?)`? \| (?:`(.*?)`|(required)) \| (.*) \|$", re.MULTILINE)


def section(title: str) -> str:
    """Return the text under one heading of the settings page."""
    _, found, rest = PAGE.partition(f"\n## {title}\n")
    assert found, title
    return rest.split("\n## ", 1)[0]


def documented(title: str) -> dict[str, Any]:
    """Return the keys of a section's table, each with its default as a value."""
    return {
        key: "required" if required else ast.literal_eval(default)
        for key, default, required, _ in ROW.findall(section(title))
        if key != "Key"
    }


def plain(value: Any) -> Any:
    """Return a default as one would write it in the dict."""
    if isinstance(value, BackendSettings):
        return {"BACKEND": value.backend}
    if isinstance(value, ServerSettings | AuthorizationSettings | WebhookSettings):
        return {}
    if isinstance(value, Mapping):
        return {alias: plain(entry) for alias, entry in value.items()}
    return list(value) if isinstance(value, tuple) else value


def default(field: Field[Any]) -> Any:
    return "required" if field.default is MISSING else plain(field.default)


@pytest.mark.parametrize(
    ("title", "cls"),
    [
        ("`SERVER`", ServerSettings),
        ("`WEBHOOKS`", WebhookSettings),
        ("`AUTHORIZATION`", AuthorizationSettings),
    ],
)
def test_every_setting_is_documented_with_its_default(title: str, cls: Any) -> None:
    assert documented(title) == {field.name.upper(): default(field) for field in fields(cls)}


def test_every_setting_of_the_dict_is_documented_with_its_default() -> None:
    with override_settings(BROADCASTING={}):
        defaults = conf.get_settings()
    assert documented("`BROADCASTING`") == {
        field.name.upper(): plain(getattr(defaults, field.name)) for field in fields(Settings)
    }


def test_every_key_of_an_application_is_documented_with_its_default() -> None:
    assert documented("Applications") == {
        field.name: default(field) for field in fields(Application)
    }


def test_every_name_that_is_not_served_yet_is_documented() -> None:
    rows = re.findall(r"^\| (?:`(\w+)`|an application) \| `(\w+)` \|$", PAGE, re.MULTILINE)
    assert {".".join(p for p in row if p and p != "BROADCASTING") for row in rows} == {
        *conf.PLANNED,
    }


@pytest.mark.parametrize(
    ("family", "names"),
    [
        ("BROADCASTERS", broadcasters.SHORT_NAMES),
        ("QUEUE", queues.SHORT_NAMES),
        ("BACKPLANE", backplanes.SHORT_NAMES),
        ("REGISTRY", registry.SHORT_NAMES),
    ],
)
def test_every_backend_is_documented(family: str, names: dict[str, str]) -> None:
    listed = re.findall(rf"^\| `{family}` \| `(\w+)` \|", section("Backends"), re.MULTILINE)
    assert listed == list(names)


@pytest.mark.parametrize(
    ("family", "names"),
    [
        ("BROADCASTERS", broadcasters.SHORT_NAMES),
        ("QUEUE", queues.SHORT_NAMES),
        ("BACKPLANE", backplanes.SHORT_NAMES),
        ("REGISTRY", registry.SHORT_NAMES),
    ],
)
def test_every_option_that_a_backend_knows_is_documented(
    family: str, names: dict[str, str]
) -> None:
    for name, path in names.items():
        known = import_string(path).known_options
        (row,) = re.findall(rf"^\| `{family}` \| `{name}` \|.*$", section("Backends"), re.MULTILINE)
        assert set(re.findall(r"`(\w+)`(?=[:,; ]| \()", row.split("|")[4])) >= set(known)
        assert known is not None


def ids_in_code() -> set[str]:
    pattern = re.compile(r'id="broadcasting\.([A-Z]\d{3})"')
    return {
        found
        for path in (ROOT / "broadcasting").rglob("*.py")
        for found in pattern.findall(path.read_text(encoding="utf-8"))
    }


def test_every_check_is_on_its_page_and_nothing_else() -> None:
    headings = re.findall(r"^### broadcasting\.([A-Z]\d{3})$", CHECKS, re.MULTILINE)
    assert sorted(headings) == sorted(ids_in_code())
    assert re.findall(r"^\(([A-Z]\d{3})\)=$", CHECKS, re.MULTILINE) == headings


def test_errors_and_warnings_stand_under_their_headings_in_order() -> None:
    errors, warnings = CHECKS.split("## Errors")[1].split("## Warnings")
    for text, letter in ((errors, "E"), (warnings, "W")):
        found = re.findall(r"^### broadcasting\.([A-Z])(\d{3})$", text, re.MULTILINE)
        assert {kind for kind, _ in found} == {letter}
        assert [number for _, number in found] == sorted(number for _, number in found)


@pytest.mark.parametrize(
    "module",
    [
        broadcasters_checks,
        client_events,
        encryption,
        families,
        limits,
        locks,
        settings,
        site,
        webhooks,
    ],
)
def test_each_check_says_which_ids_it_gives(module: Any) -> None:
    """So that one finds the check behind an id; helpers stand below, or in a module they share."""
    source = Path(module.__file__).read_text(encoding="utf-8")
    said = {
        found
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("check_")
        for found in re.findall(r"[EW]\d{3}", ast.get_docstring(node) or "")
    }
    given = set(re.findall(r'id="broadcasting\.([A-Z]\d{3})"', source))
    assert said >= given
    assert said <= ids_in_code()


def test_what_is_asked_of_deployments_only_is_marked() -> None:
    marked = re.findall(r"broadcasting\.(W\d{3})\n\n\*Deploy\.\*", CHECKS)
    assert marked == ["W023", "W024", "W026", "W030", "W043", "W044"]


LIMITS = (ROOT / "docs" / "reference" / "limits.md").read_text(encoding="utf-8")
LIMIT = re.compile(r"^\| [^|]+ \| `(\w+)` \| `([^`]*)` \| [^|]+ \| \w+ \| (.+) \|$", re.MULTILINE)


def limits_of(title: str) -> dict[str, tuple[Any, list[str]]]:
    """Return the settings of one table of limits, each with its default and its counters."""
    _, found, rest = LIMITS.partition(f"\n## {title}\n")
    assert found, title
    return {
        name: (ast.literal_eval(value), re.findall(r"`(\w+)`", counted))
        for name, value, counted in LIMIT.findall(rest.split("\n## ", 1)[0])
    }


@pytest.mark.parametrize(
    ("title", "counters"), [("Sockets", ServerCounters), ("HTTP API", ApiCounters)]
)
def test_every_limit_has_the_default_and_the_counters_that_its_page_says(
    title: str, counters: Any
) -> None:
    defaults = {field.name: default(field) for field in fields(Application)}
    defaults |= {field.name.upper(): default(field) for field in fields(ServerSettings)}
    counted = {field.name for field in fields(counters)}
    listed = limits_of(title)
    assert listed
    for name, (value, names) in listed.items():
        assert value == defaults[name], name
        assert names, name
        assert set(names) <= counted, name


def test_every_limit_is_on_the_page() -> None:
    """But those of what a publisher writes, which are said beside it, and one of the server's own:
    who is late for readiness is refused nothing."""
    listed = {*limits_of("Sockets"), *limits_of("HTTP API")}
    said_elsewhere = {
        "MAX_LOOP_LAG",
        "max_event_name_length",
        "max_channel_name_length",
        "max_presence_member_size_kb",
    }
    limits = {field.name for field in fields(Application) if field.name.startswith("max_")}
    limits |= {f.name.upper() for f in fields(ServerSettings) if f.name.startswith("max_")}
    assert limits <= listed | said_elsewhere
