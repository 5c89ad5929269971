"""In processes of their own, since rules are found once, when Django starts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from broadcasting.authorization import routes

ROOT = Path(__file__).resolve().parents[2]

START = """
import django
from django.conf import settings
settings.configure(ROOT_URLCONF={urlconf!r}, INSTALLED_APPS={apps!r}, SECRET_KEY="x" * 50)
django.setup()
import channels.layers
from broadcasting.authorization import routes
print(*(route.name for route in routes))
"""
RULE = """
from broadcasting import channel
@channel({pattern!r})
def {name}(user): return True
"""

LISTENER = """
from broadcasting import ShouldBroadcast, listen
class Ticked(ShouldBroadcast): ...
@listen(queue="mail")
def {name}(event: Ticked): ...
"""
START_LISTENING = """
import django
from django.conf import settings
settings.configure(
    ROOT_URLCONF="config.urls",
    INSTALLED_APPS=["channels", "broadcasting", "shop"],
    SECRET_KEY="x" * 50,
)
django.setup()
from broadcasting.listeners import listeners
print(*(listener.name for listener in listeners))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for package in ("config", "shop"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
    (tmp_path / "config" / "urls.py").write_text("urlpatterns = []")
    (tmp_path / "urls.py").write_text("urlpatterns = []")
    (tmp_path / "shop" / "channels.py").write_text(RULE.format(pattern="a", name="app_rule"))
    return tmp_path


def _start(project: Path, urlconf: str, *apps: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable,
            "-c",
            START.format(urlconf=urlconf, apps=["channels", "broadcasting", *apps]),
        ],
        cwd=project,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_rules_of_installed_apps_are_found() -> None:
    names = {route.name for route in routes}
    assert "tests.testapp.channels.order_channel" in names


def test_rules_of_apps_and_of_the_projects_package_are_found(project: Path) -> None:
    rule = RULE.format(pattern="b", name="project_rule")
    (project / "config" / "channels.py").write_text(rule)
    done = _start(project, "config.urls", "shop")
    assert done.stdout.split() == ["shop.channels.app_rule", "config.channels.project_rule"], done


def test_a_project_needs_no_rules(project: Path) -> None:
    (project / "shop" / "channels.py").unlink()
    done = _start(project, "config.urls", "shop")
    assert (done.returncode, done.stdout.strip()) == (0, ""), done


def test_a_root_urlconf_beside_manage_py_does_not_pull_in_django_channels(project: Path) -> None:
    done = _start(project, "urls", "shop")
    assert done.stdout.split() == ["shop.channels.app_rule"], done


def test_a_mistake_in_a_rules_module_is_not_swallowed(project: Path) -> None:
    (project / "config" / "channels.py").write_text("import no_such_module")
    done = _start(project, "config.urls", "shop")
    assert done.returncode != 0
    assert "no_such_module" in done.stderr


LIST = """
from broadcasting import include, route
def listed(user, **values): return True
channelpatterns = [{entries}]
"""


def test_lists_are_found_once_and_those_that_are_included_are_not_there_twice(
    project: Path,
) -> None:
    (project / "shop" / "channels.py").write_text(LIST.format(entries='route("a", listed)'))
    (project / "config" / "channels.py").write_text(
        LIST.format(entries='route("b", listed), include("shop.channels", prefix="c.{d}")')
    )
    done = _start(project, "config.urls", "shop")
    assert done.stdout.split() == ["config.channels.listed", "shop.channels.listed"], done


def test_listeners_of_apps_are_found(project: Path) -> None:
    """DS13: ``listeners.py`` of an app, and that of the project's package."""
    for package, name in (("shop", "app_listener"), ("config", "project_listener")):
        (project / package / "listeners.py").write_text(LISTENER.format(name=name))
    done = subprocess.run(
        [sys.executable, "-c", START_LISTENING],
        cwd=project,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    found = ["shop.listeners.app_listener", "config.listeners.project_listener"]
    assert done.stdout.split() == found, done
