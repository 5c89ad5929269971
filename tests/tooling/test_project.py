"""Files that say the same thing twice must agree."""

import json
import os
import re
import tomllib
from pathlib import Path

import pytest

import broadcasting

ROOT = Path(__file__).parent.parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

# Released together.
ECHOES = ("laravel-echo", "@laravel/echo-react", "@laravel/echo-vue")


def test_the_change_log_begins_with_this_version() -> None:
    entry = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert entry is not None
    assert entry[1] == broadcasting.__version__


@pytest.mark.parametrize(
    "folder", [".", "tests/node", "tests/peers/laravel-echo-server", "tests/peers/soketi"]
)
def test_a_lock_names_hashes_and_no_hosts(folder: str) -> None:
    text = (ROOT / folder / "package-lock.json").read_text()
    assert "resolved" not in text
    # What soketi itself asks for is on GitHub; its package.json here puts another in its place.
    harmless = r'"funding": [{\[].*?[}\]]|"url": "[^"]*"|"uWebSockets\.js": "[^"]*"'
    assert "://" not in re.sub(harmless, "", text, flags=re.DOTALL)
    packages = json.loads(text)["packages"]
    assert all(package["integrity"] for name, package in packages.items() if name)


@pytest.mark.parametrize("name", ["laravel-echo", "pusher-js"])
def test_the_node_tests_drive_the_versions_that_we_ship(name: str) -> None:
    shipped, driven = (
        json.loads((ROOT / folder / "package-lock.json").read_text())["packages"]
        for folder in (".", "tests/node")
    )
    entry = f"node_modules/{name}"
    assert shipped[entry]["version"] == driven[entry]["version"]
    major_minor = shipped[entry]["version"].rpartition(".")[0]
    title = {"laravel-echo": "Laravel Echo", "pusher-js": "pusher-js"}[name]
    assert f"| {title} | {major_minor} |" in (ROOT / "docs/reference/versions.md").read_text()


def test_the_page_of_clients_has_the_versions_that_are_driven() -> None:
    packages = json.loads((ROOT / "tests/node/package-lock.json").read_text())["packages"]
    page = (ROOT / "docs/reference/clients.md").read_text()
    for name, title in {
        "pusher-js": "pusher-js",
        "pusher-js-7": "pusher-js",
        "laravel-echo": "Laravel Echo",
        "@laravel/echo-react": "@laravel/echo-react",
        "@laravel/echo-vue": "@laravel/echo-vue",
    }.items():
        assert f"| {title} | {packages[f'node_modules/{name}']['version']}" in page
    assert len({packages[f"node_modules/{echo}"]["version"] for echo in ECHOES}) == 1


def test_the_documented_floors_are_the_declared_ones() -> None:
    declared = dict(line.split(">=") for line in PYPROJECT["project"]["dependencies"])
    table = (ROOT / "docs/reference/versions.md").read_text()
    titles = {
        "celery": "Celery",
        "channels": "Channels",
        "channels-redis": "channels-redis",
        "daphne": "Daphne",
        "django": "Django",
        "redis": "redis-py",
        "uvicorn": "uvicorn",
    }
    for name, title in titles.items():
        assert f"| {title} | {declared[name]} |" in table


def test_pre_commit_and_the_style_group_use_one_ruff() -> None:
    (pinned,) = PYPROJECT["dependency-groups"]["style"]
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    assert f"rev: v{pinned.removeprefix('ruff==')}" in hooks


def test_continuous_integration_ends_with_pytests_own_line() -> None:
    script = ROOT / ".ci" / "run"
    commands = [line for line in script.read_text().splitlines() if line.startswith("./dev")]
    assert commands == ["./dev check", "./dev matrix", "./dev test --full"]
    assert os.access(script, os.X_OK)
    assert os.access(ROOT / "dev", os.X_OK)


def test_no_committed_file_holds_a_browser_library() -> None:
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert "/broadcasting/static/broadcasting/vendor/" in ignored
