"""``make_event`` and ``make_channel`` in a project of their own, where what they write runs."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from django.apps import AppConfig
from django.core.management.base import CommandError

from broadcasting.management.commands.make_event import stub_of
from broadcasting.management.stubs import write

ROOT = Path(__file__).resolve().parents[2]

SETTINGS = """
SECRET_KEY = "x" * 50
ROOT_URLCONF = "config.urls"
INSTALLED_APPS = [
    "django.contrib.auth", "django.contrib.contenttypes", "channels", "broadcasting", "shop",
]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
"""
MODELS = """
from django.db import models


class Order(models.Model):
    status = models.CharField(max_length=10)
"""


class Project:
    """A project with one app, ``shop``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for package in ("config", "shop"):
            (folder / package).mkdir()
            (folder / package / "__init__.py").touch()
        (folder / "config" / "urls.py").write_text("urlpatterns = []\n")
        (folder / "config" / "settings.py").write_text(SETTINGS)
        (folder / "shop" / "models.py").write_text(MODELS)
        self.events = folder / "shop" / "events.py"
        self.channels = folder / "shop" / "channels.py"

    def python(self, *args: str) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join([str(self.folder), str(ROOT)])
        return subprocess.run(
            [sys.executable, *args],
            cwd=self.folder,
            env={"PYTHONPATH": path, "DJANGO_SETTINGS_MODULE": "config.settings"},
            capture_output=True,
            text=True,
            check=False,
        )

    def run(self, *args: str) -> str:
        done = self.python("-m", "django", *args)
        assert done.returncode == 0, done
        return done.stdout

    def refuse(self, *args: str) -> str:
        done = self.python("-m", "django", *args)
        assert done.returncode == 1, done
        return done.stderr

    def check(self, *paths: Path) -> None:
        """Let ruff say whether it is clean, by the rules of this repository but in a project."""
        rules = "E,F,W,I,UP,B,C4,SIM,S,DJ,N,A,T20,PT,RUF,TID"
        for command in (["check", "--select", rules], ["format", "--check"]):
            done = self.python("-m", "ruff", *command, "--isolated", *map(str, paths))
            assert done.returncode == 0, done.stdout


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def shell(project: Project, code: str) -> str:
    done = project.python("-c", f"import django; django.setup()\n{code}")
    assert done.returncode == 0, done
    return done.stdout.strip()


def test_an_event_is_written_and_can_be_sent(project: Project) -> None:
    """App 23"""
    text = project.run("make_event", "OrderShipped", "shop")
    assert text == (
        "shop/events.py: OrderShipped was written. Send it: OrderShipped(...).dispatch()\n"
    )
    project.check(project.events)
    sent = shell(
        project,
        "from broadcasting.testing import fake\n"
        "from shop.events import OrderShipped\n"
        "with fake() as sent: OrderShipped('gone').dispatch()\n"
        "print(sent.sent[0].data, *sent.sent[0].channels)",
    )
    assert sent == '{"message":"gone"} private-order-shipped'


def test_events_are_added_to_those_that_are_there(project: Project) -> None:
    project.run("make_event", "OrderShipped", "shop")
    project.run("make_event", "OrderPacked", "shop", "--model", "Order")
    project.check(project.events)
    sent = shell(
        project,
        "from broadcasting.testing import fake\n"
        "from shop.events import OrderPacked, OrderShipped\n"
        "from shop.models import Order\n"
        "with fake() as sent: OrderPacked(Order(pk=1)).dispatch()\n"
        "print(sent.sent[0].data, *sent.sent[0].channels)",
    )
    assert sent == '{"order":{"id":1}} private-shop.Order.1'


def test_nothing_is_overwritten_unless_that_is_said(project: Project) -> None:
    project.run("make_event", "OrderShipped", "shop")
    project.run("make_event", "OrderPacked", "shop")
    before = project.events.read_text()
    changed = before.replace('message: str = ""', "total: int = 0")
    project.events.write_text(changed)
    problem = project.refuse("make_event", "OrderShipped", "shop")
    assert "has a class OrderShipped already" in problem
    assert "--force" in problem
    assert project.events.read_text() == changed
    project.run("make_event", "OrderShipped", "shop", "--force")
    restored = project.events.read_text()
    first, second = restored.split("class OrderPacked")
    assert 'message: str = ""' in first
    assert "total: int = 0" in second
    project.check(project.events)


def test_a_package_of_events_gets_another_module(project: Project) -> None:
    package = project.folder / "shop" / "events"
    package.mkdir()
    (package / "__init__.py").write_text('"""Events."""\n')
    project.run("make_event", "OrderShipped", "shop")
    assert shell(project, "from shop.events import OrderShipped as o; print(o.__module__)") == (
        "shop.events.order_shipped"
    )
    project.check(package / "order_shipped.py")
    assert "already" in project.refuse("make_event", "OrderShipped", "shop")


def test_a_channel_is_written_and_lets_nobody_in(project: Project) -> None:
    """App 23"""
    text = project.run("make_channel", "OrderChannel", "shop")
    assert "OrderChannel was written. It lets nobody in" in text
    project.run("make_channel", "RoomChannel", "shop", "--pattern", "rooms.{room}.{seat_id}")
    project.run("make_channel", "OwnChannel", "shop", "--model", "Order")
    project.check(project.channels)
    listed = project.run("channel_list").splitlines()
    assert [line.split()[0] for line in listed[1:4]] == [
        "order.{order_id}",
        "rooms.{room}.{seat_id}",
        "shop.Order.{order}",
    ]
    project.run("check")
    answer = shell(
        project,
        "from django.contrib.auth.models import User\n"
        "from broadcasting.testing import channel_auth\n"
        "print(channel_auth(User(pk=1), 'private-order.1').denied)",
    )
    assert answer == "True"
    assert "already" in project.refuse("make_channel", "OrderChannel", "shop")
    project.run("make_channel", "OrderChannel", "shop", "--force", "--pattern", "orders")
    project.check(project.channels)


def test_the_channel_of_a_user_takes_the_visitor_beside(project: Project) -> None:
    project.run("make_channel", "UserChannel", "shop", "--model", "auth.User")
    project.run("make_channel", "UsersChannel", "shop", "--pattern", "users.{user}.{uuid:token}")
    project.check(project.channels)
    project.run("check")
    assert "def join(self, visitor: User, user: User)" in project.channels.read_text()
    assert "def join(self, visitor: User, user: str, token: UUID)" in project.channels.read_text()


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        (("make_event", "Order-Shipped", "shop"), "is not a name for a class"),
        (("make_event", "class", "shop"), "is not a name for a class"),
        (("make_event", "OrderShipped", "shops"), "Apps of this project: "),
        (("make_event", "OrderShipped", "auth"), "installed package, not yours to write in"),
        (("make_event", "OrderShipped", "shop", "--model", "Ordre"), "No model 'Ordre'"),
        (("make_event", "Channel", "shop"), "uses the name Channel already"),
        (("make_channel", "OrderChannel", "shop", "--pattern", "a.{"), "--pattern"),
        (("make_channel", "OrderChannel", "shop", "--pattern", 'a"b'), "never matches"),
        (("make_channel", "OrderChannel", "shop", "--pattern", "a\\b"), "never matches"),
        (("make_channel", "OrderChannel", "shop", "--pattern", "a.{self}"), "another name"),
    ],
)
def test_it_says_what_to_change(project: Project, args: tuple[str, ...], problem: str) -> None:
    before = "from broadcasting import Channel\n"
    project.events.write_text(before)
    assert problem in project.refuse(*args)
    assert project.events.read_text() == before


def test_what_is_in_a_file_already_stays(project: Project) -> None:
    project.events.write_text(
        "import decimal\n\nfrom broadcasting.channels import Channel\n\nfrom . import models\n\n\n"
        "def f() -> decimal.Decimal | models.Order | Channel: ..."
    )
    project.run("make_event", "OrderShipped", "shop", "--model", "Order")
    lines = project.events.read_text().splitlines()
    assert lines[:10] == [
        "import decimal",
        "from typing import ClassVar",
        "",
        "from broadcasting import PrivateChannel, ShouldBroadcast",
        "from broadcasting.channels import Channel",
        "",
        "from shop.models import Order",
        "",
        "from . import models",
        "",
    ]
    project.run("event_list")


@pytest.mark.parametrize("text", ["x = (\n", "import os as PrivateChannel\n"])
def test_a_file_that_cannot_be_edited_is_left_alone(tmp_path: Path, text: str) -> None:
    file = tmp_path / "events.py"
    file.write_text(text)
    config = AppConfig("tests.testapp", import_module("tests.testapp"))
    config.path = str(tmp_path)
    with pytest.raises(CommandError, match=r"events\.py cannot be edited"):
        write(config, "events", stub_of("OrderShipped", "shop", None), force=False)
    assert file.read_text() == text


def _written(folder: Path, content: bytes) -> bytes:
    """Return what becomes of ``events.py`` when its class OrderShipped is replaced."""
    file = folder / "events.py"
    file.write_bytes(content)
    config = AppConfig("tests.testapp", import_module("tests.testapp"))
    config.path = str(folder)
    write(config, "events", stub_of("OrderShipped", "shop", None), force=True)
    return file.read_bytes()


@pytest.mark.parametrize("sign", ["\f", "\x1c", "\u2028"])
def test_a_class_is_replaced_where_python_sees_its_lines(tmp_path: Path, sign: str) -> None:
    text = f'A = """{sign}"""\n\n\nclass OrderShipped:\n    old = 1\n\n\nB = 2\n'
    written = _written(tmp_path, text.encode()).decode()
    assert f'A = """{sign}"""\n\n\nclass OrderShipped(ShouldBroadcast):\n' in written
    assert "old" not in written
    assert written.endswith("\n\n\nB = 2\n")


def test_line_ends_stay_as_they_are(tmp_path: Path) -> None:
    for content in (b"A = 1\r\n", b"A = 1\r\n\r\n\r\nclass OrderShipped: ...\r\n"):
        written = _written(tmp_path, content)
        assert written.count(b"\n") == written.count(b"\r\n") > 10


def test_a_file_in_another_encoding_is_left_alone(tmp_path: Path) -> None:
    content = b'# coding: latin-1\nA = "\xe9"\n'
    with pytest.raises(CommandError, match=r"events\.py cannot be read"):
        _written(tmp_path, content)
    assert (tmp_path / "events.py").read_bytes() == content


def test_a_package_that_cannot_be_edited_gets_no_module(tmp_path: Path) -> None:
    (tmp_path / "events").mkdir()
    (tmp_path / "events" / "__init__.py").write_text("x = (\n")
    with pytest.raises(CommandError, match=r"cannot be edited"):
        _written(tmp_path, b"")
    assert not (tmp_path / "events" / "order_shipped.py").exists()
