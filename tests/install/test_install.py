"""The command on projects of every common shape: what it writes, asks, leaves alone and says."""

from __future__ import annotations

import ast
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.core.management import call_command

from broadcasting.__main__ import main
from broadcasting.install import terminal
from broadcasting.install.project import NoProject, find
from broadcasting.management.commands.broadcasting_install import Command
from tests.install.conftest import Bare

SOCKET_ID = "broadcasting.middleware.SocketIdMiddleware"


@dataclass
class Screen:
    """What a person would see."""

    tty: bool = False
    text: str = ""

    def write(self, text: str) -> None:
        self.text += text

    def isatty(self) -> bool:
        return self.tty


def settings_of(text: str) -> dict[str, object]:
    """Return the plain values of a settings file."""
    values: dict[str, object] = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            try:
                values[node.targets[0].id] = ast.literal_eval(node.value)
            except ValueError:
                continue
    return values


def test_a_bare_project_gets_all_it_needs(bare: Bare) -> None:
    status, output = bare.install()
    assert status == 0
    values = settings_of(bare.read("settings.py"))
    apps = values["INSTALLED_APPS"]
    assert isinstance(apps, list)
    assert apps[:4] == ["daphne", "channels", "broadcasting", "django.contrib.admin"]
    middleware = values["MIDDLEWARE"]
    assert isinstance(middleware, list)
    assert middleware[-1] == SOCKET_ID
    assert values["ASGI_APPLICATION"] == "mysite.asgi.application"
    assert values["BROADCASTING"] == {
        "BACKPLANE": {"BACKEND": "local"},
        "QUEUE": {"BACKEND": "sync"},
    }
    assert "include('broadcasting.urls')" in bare.read("urls.py")
    assert "application = get_application(get_asgi_application())" in bare.read("asgi.py")
    assert ast.get_docstring(ast.parse(bare.read("channels.py")))
    assert not (bare.folder / "channels.py").exists()
    assert "python manage.py runserver" in output
    assert "/broadcasting/welcome/" in output


def test_no_secret_is_written(bare: Bare) -> None:
    bare.install()
    assert '"secret": "' not in bare.read("settings.py")
    assert "'secret': '" not in bare.read("settings.py")


def test_everything_else_stays_as_it_was(bare: Bare) -> None:
    before = bare.read("settings.py").splitlines()
    bare.install()
    after = bare.read("settings.py").splitlines()
    position = 0
    for line in before:
        position = after.index(line, position) + 1


def test_a_second_run_has_nothing_to_do(bare: Bare) -> None:
    bare.install()
    texts = bare.texts()
    status, output = bare.install()
    assert status == 0
    assert "nothing to do" in output
    assert bare.texts() == texts


def test_a_dry_run_shows_the_diff_and_writes_nothing(bare: Bare) -> None:
    texts = bare.texts()
    status, output = bare.install(dry_run=True)
    assert status == 0
    assert bare.texts() == texts
    assert "--- a/mysite/settings.py" in output
    assert "+    'daphne'," in output
    assert "--- /dev/null\n+++ b/mysite/channels.py" in output
    assert "\x1b[" not in output


def test_a_person_is_asked_once_and_may_refuse(bare: Bare) -> None:
    texts = bare.texts()
    status, output = bare.install(answer="n")
    assert status == 1
    assert "Nothing was written" in output
    assert bare.texts() == texts
    assert bare.asked == ["Write these changes? [y/N] "]


def test_a_person_who_agrees_gets_the_files(bare: Bare) -> None:
    assert bare.install(answer="y")[0] == 0
    assert bare.asked
    assert "broadcasting" in bare.read("settings.py")


def test_nobody_is_asked_with_yes(bare: Bare) -> None:
    assert bare.install(answer="n", ask=False)[0] == 0
    assert not bare.asked


def test_line_ends_and_marks_stay(bare: Bare) -> None:
    for name in ("settings.py", "urls.py", "asgi.py"):
        bare.path(name).write_bytes(
            b"\xef\xbb\xbf" + bare.read(name).replace("\n", "\r\n").encode()
        )
    assert bare.install()[0] == 0
    for name in ("settings.py", "urls.py", "asgi.py"):
        content = bare.path(name).read_bytes()
        assert content.startswith(b"\xef\xbb\xbf")
        assert content.count(b"\r\n") == content.count(b"\n")
        assert b"broadcasting" in content
    assert "nothing to do" in bare.install()[1]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_modes_and_links_stay(bare: Bare, tmp_path: Path) -> None:
    settings = bare.path("settings.py")
    elsewhere = tmp_path / "real_settings.py"
    settings.rename(elsewhere)
    elsewhere.chmod(0o640)
    settings.symlink_to(elsewhere)
    assert bare.install()[0] == 0
    assert settings.is_symlink()
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o640
    assert "broadcasting" in elsewhere.read_text(encoding="utf-8")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such owners")
def test_owners_stay(bare: Bare) -> None:
    settings = bare.path("settings.py")
    # Whoever runs this: root may give it away, everybody else keeps it.
    owner = (65_534, 65_534) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    os.chown(settings, *owner)
    assert bare.install()[0] == 0
    assert (settings.stat().st_uid, settings.stat().st_gid) == owner
    assert "broadcasting" in bare.read("settings.py")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such owners")
def test_anothers_file_that_may_be_written_is_written_in_place(
    bare: Bare, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder that a group shares. Only root can make such a file here, and is told no."""
    settings = bare.path("settings.py")
    is_root = os.geteuid() == 0
    if is_root:
        os.chown(settings, 65_534, 65_534)
    before = settings.stat()

    def refuse(*args: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.chown", refuse)
    assert bare.install()[0] == 0
    assert "broadcasting" in bare.read("settings.py")
    assert [path.name for path in settings.parent.glob(".settings*")] == []
    assert settings.stat().st_uid == before.st_uid
    assert (settings.stat().st_ino == before.st_ino) is is_root


def test_what_may_not_be_written_is_not(bare: Bare, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root may write everything, so nobody's modes can show this to all who run it.
    settings = bare.path("settings.py")
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != settings)
    before = bare.read("settings.py")
    status, output = bare.install()
    assert status == 1
    assert "mysite/settings.py was not written: it is not writable" in output
    assert bare.read("settings.py") == before


def test_what_cannot_be_read_is_left_to_its_owner(
    bare: Bare, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls, read = bare.path("urls.py"), Path.read_bytes

    def read_bytes(path: Path) -> bytes:
        if path == urls:
            raise PermissionError(13, "Permission denied")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    status, output = bare.install()
    assert status == 1
    assert "mysite/urls.py was left alone: it cannot be read (Permission denied)" in output


def test_parentheses_round_an_entry_stay_its_own(bare: Bare) -> None:
    bare.replace(
        "settings.py",
        "'django.middleware.clickjacking.XFrameOptionsMiddleware'",
        "('django.middleware.clickjacking.'\n     'XFrameOptionsMiddleware')",
    )
    bare.replace("settings.py", "'django.contrib.admin'", "('django.contrib.admin')")
    assert bare.install()[0] == 0
    values = settings_of(bare.read("settings.py"))
    assert all(isinstance(entry, str) for entry in values["MIDDLEWARE"])  # type: ignore[attr-defined]
    assert values["MIDDLEWARE"][-1].endswith("SocketIdMiddleware")  # type: ignore[index]
    assert values["INSTALLED_APPS"][:4] == [  # type: ignore[index]
        "daphne",
        "channels",
        "broadcasting",
        "django.contrib.admin",
    ]


def test_a_project_in_the_folder_itself(started: Callable[[str], Bare]) -> None:
    bare = started("config")
    assert bare.install()[0] == 0
    values = settings_of(bare.read("settings.py"))
    assert values["ASGI_APPLICATION"] == "config.asgi.application"
    assert bare.path("channels.py").is_file()


def test_a_settings_package(bare: Bare) -> None:
    base = bare.read("settings.py")
    bare.path("settings.py").unlink()
    bare.write("settings/__init__.py", "")
    bare.write("settings/base.py", base)
    bare.write("settings/dev.py", "from .base import *\n\nINSTALLED_APPS += ['channels']\n")
    manage = bare.folder / "manage.py"
    manage.write_text(manage.read_text().replace("mysite.settings", "mysite.settings.dev"))
    dev = bare.read("settings/dev.py")
    assert bare.install()[0] == 0
    values = settings_of(bare.read("settings/base.py"))
    apps = values["INSTALLED_APPS"]
    assert isinstance(apps, list)
    assert apps[:2] == ["daphne", "broadcasting"]
    assert "BROADCASTING" in values
    assert bare.read("settings/dev.py") == dev
    assert bare.read("asgi.py").count("get_application(") == 1


def test_settings_named_by_option_and_by_environment(
    bare: Bare, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare.write("other.py", bare.read("settings.py"))
    untouched = bare.read("settings.py")
    assert bare.install(settings_module="mysite.other")[0] == 0
    assert "BROADCASTING" in bare.read("other.py")
    assert bare.read("settings.py") == untouched
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "mysite.other")
    assert find(bare.folder, os.environ).settings_module == "mysite.other"


def test_lists_put_together_from_others(bare: Bare) -> None:
    bare.replace("settings.py", "INSTALLED_APPS = [", "DJANGO_APPS = [")
    bare.replace(
        "settings.py",
        "MIDDLEWARE = [",
        'LOCAL = ("channels",)\nINSTALLED_APPS = DJANGO_APPS + list(LOCAL)\n\nMIDDLEWARE = [',
    )
    assert bare.install()[0] == 0
    apps = settings_of(bare.read("settings.py"))["DJANGO_APPS"]
    assert isinstance(apps, list)
    assert apps[:3] == ["daphne", "broadcasting", "django.contrib.admin"]


def test_configurations_count_as_their_apps(bare: Bare) -> None:
    bare.replace(
        "settings.py", "INSTALLED_APPS = [", "INSTALLED_APPS = [\n    'daphne.apps.DaphneConfig',"
    )
    assert bare.install()[0] == 0
    apps = settings_of(bare.read("settings.py"))["INSTALLED_APPS"]
    assert isinstance(apps, list)
    assert apps[:3] == ["daphne.apps.DaphneConfig", "channels", "broadcasting"]


def test_daphne_behind_static_files_is_left_to_its_owner(bare: Bare) -> None:
    bare.replace(
        "settings.py", "'django.contrib.staticfiles',", "'django.contrib.staticfiles', 'daphne',"
    )
    before = bare.read("settings.py")
    status, output = bare.install()
    assert status == 1
    assert bare.read("settings.py") == before
    assert "'daphne' has to stand in front of 'django.contrib.staticfiles'" in output


def test_settings_it_cannot_read_are_left_and_the_rest_is_done(bare: Bare) -> None:
    bare.replace("settings.py", "INSTALLED_APPS = [", "INSTALLED_APPS = tuple([")
    bare.replace("settings.py", "]\n\nMIDDLEWARE", "])\n\nMIDDLEWARE")
    before = bare.read("settings.py")
    status, output = bare.install()
    assert status == 1
    assert bare.read("settings.py") == before
    assert "mysite.settings was left alone: INSTALLED_APPS is not a plain list" in output
    assert 'INSTALLED_APPS = ["daphne", "channels", "broadcasting", ...]' in output
    assert SOCKET_ID in output
    assert 'ASGI_APPLICATION = "mysite.asgi.application"' in output
    assert "broadcasting.urls" in bare.read("urls.py")
    assert "get_application" in bare.read("asgi.py")
    assert "Next:" not in output


def test_urls_it_cannot_read_are_left(bare: Bare) -> None:
    bare.write("urls.py", "urlpatterns = make_patterns()\n")
    status, output = bare.install()
    assert status == 1
    assert "mysite/urls.py was left alone: urlpatterns is not a plain list" in output
    assert 'path("broadcasting/", include("broadcasting.urls"))' in output
    assert "BROADCASTING" in bare.read("settings.py")


def test_another_application_is_wrapped(bare: Bare) -> None:
    bare.replace(
        "asgi.py",
        "application = get_asgi_application()",
        "application = ProtocolTypeRouter({\n    'http': get_asgi_application(),\n})",
    )
    assert bare.install()[0] == 0
    assert (
        "application = get_application(ProtocolTypeRouter({\n"
        "    'http': get_asgi_application(),\n}))\n"
    ) in bare.read("asgi.py")


def test_an_application_that_is_chosen_at_run_time_is_left(bare: Bare) -> None:
    bare.write("asgi.py", "if True:\n    application = make()\n")
    status, output = bare.install()
    assert status == 1
    assert "mysite/asgi.py was left alone" in output
    assert "from broadcasting.asgi import get_application" in output


def test_a_missing_asgi_module_is_made(bare: Bare) -> None:
    bare.path("asgi.py").unlink()
    assert bare.install()[0] == 0
    assert 'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")' in bare.read(
        "asgi.py"
    )


def test_rules_that_are_there_stay(bare: Bare) -> None:
    bare.write("channels.py", "RULES = 1\n")
    assert bare.install()[0] == 0
    assert bare.read("channels.py") == "RULES = 1\n"


def test_a_urlconf_beside_manage_gets_no_rules_beside_manage(bare: Bare) -> None:
    bare.path("urls.py").rename(bare.folder / "urls.py")
    bare.replace("settings.py", "ROOT_URLCONF = 'mysite.urls'", "ROOT_URLCONF = 'urls'")
    status, output = bare.install()
    assert status == 0
    assert not (bare.folder / "channels.py").exists()
    assert "never beside manage.py" in output
    assert "broadcasting.urls" in (bare.folder / "urls.py").read_text()


def test_a_file_that_hides_django_channels_is_reported(bare: Bare) -> None:
    (bare.folder / "channels.py").write_text("")
    status, output = bare.install()
    assert status == 1
    assert "it hides Django Channels" in output
    assert "BROADCASTING" in bare.read("settings.py")


@pytest.mark.parametrize("interruption", [EOFError, KeyboardInterrupt])
def test_a_person_who_leaves_has_refused(bare: Bare, interruption: type[BaseException]) -> None:
    def leave(question: str) -> str:
        raise interruption

    screen = Screen()
    face = terminal.Terminal(screen, {}, color=False, ask=leave)
    texts = bare.texts()
    assert terminal.run(bare.folder, terminal.Options(), face) == 1
    assert bare.texts() == texts


def test_a_file_that_changed_meanwhile_is_not_overwritten(
    bare: Bare, monkeypatch: pytest.MonkeyPatch
) -> None:
    edited = "# edited while the question stood\n"

    def answer(question: str) -> str:
        bare.write("urls.py", edited)
        return "y"

    out = Screen()
    face = terminal.Terminal(out, {}, color=False, ask=answer)
    assert terminal.run(bare.folder, terminal.Options(), face) == 1
    assert bare.read("urls.py") == edited
    assert "mysite/urls.py was not written" in out.text
    assert "BROADCASTING" in bare.read("settings.py")
    assert not list(bare.folder.rglob(".*"))


@pytest.mark.parametrize(
    ("environ", "color", "tty", "expected"),
    [
        ({"TERM_PROGRAM": "any"}, True, True, "\x1b[32m+ new\x1b[0m\n"),
        ({"TERM_PROGRAM": "any", "NO_COLOR": "1"}, True, True, "+ new\n"),
        ({"TERM": "dumb"}, True, True, "+ new\n"),
        ({"TERM_PROGRAM": "any"}, False, True, "+ new\n"),
        ({"TERM_PROGRAM": "any"}, True, False, "+ new\n"),
    ],
)
def test_colours_are_for_terminals_that_want_them(
    environ: dict[str, str], color: bool, tty: bool, expected: str
) -> None:
    screen = Screen(tty=tty)
    terminal.Terminal(screen, environ, color, None).write("+ new", "32")
    assert screen.text == expected


def test_where_there_is_no_project(tmp_path: Path) -> None:
    with pytest.raises(NoProject, match=r"no manage\.py"):
        find(tmp_path, {})
    (tmp_path / "manage.py").write_text("print()\n")
    with pytest.raises(NoProject, match="--settings"):
        find(tmp_path, {})


def test_settings_that_are_elsewhere_are_reported(bare: Bare) -> None:
    status, output = bare.install(settings_module="nowhere.settings")
    assert status == 2
    assert "'nowhere.settings' is not below here" in output


def test_the_module_prints_its_help_without_a_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "install" in capsys.readouterr().out


def test_the_module_installs_beside_manage(
    bare: Bare, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(bare.folder)
    assert main(["install", "--no-input"]) == 0
    assert "BROADCASTING" in bare.read("settings.py")
    assert "mysite/settings.py written" in capsys.readouterr().out


def test_the_management_command_does_the_same(
    bare: Bare, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(bare.folder)
    call_command(Command(), "--yes")
    assert "BROADCASTING" in bare.read("settings.py")
    with pytest.raises(SystemExit) as ended:
        call_command(Command(), "--yes", settings="nowhere.settings")
    assert ended.value.code == 2
