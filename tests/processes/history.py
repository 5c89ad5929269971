"""An earlier version of the package, built from the history of this repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from tests.live import ROOT

VENDOR = Path("broadcasting/static/broadcasting/vendor")
"""What the build takes as it is, so that nothing is fetched for it."""


@dataclass(frozen=True)
class Earlier:
    """Where the wheel of an earlier commit is unpacked, and that commit's live site."""

    package: Path
    site: Path

    @property
    def env(self) -> dict[str, str]:
        """What makes tests.live start its processes instead of those of this checkout."""
        return {"PYTHONPATH": os.pathsep.join(map(str, (self.package, self.site)))}


def build(commit: str, folder: Path) -> Earlier:
    """Build the wheel of ``commit``, which the history of this checkout must have."""
    source, package, site = folder / "source", folder / "package", folder / "site"
    archive = subprocess.run(
        ["git", "archive", commit], cwd=ROOT, capture_output=True, check=True
    ).stdout
    with tarfile.open(fileobj=BytesIO(archive)) as files:
        files.extractall(source, filter="data")
    shutil.copytree(ROOT / VENDOR, source / VENDOR)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation"]
    subprocess.run([*command, "--outdir", folder, source], capture_output=True, check=True)
    (wheel,) = folder.glob("*.whl")
    shutil.unpack_archive(wheel, package, "zip")
    site.mkdir()
    shutil.move(source / "tests", site / "tests")
    shutil.rmtree(source)
    return Earlier(package, site)
