"""The driver of the documentation, tested as its reader tests it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.live import PATIENCE
from tests.test_docs import ROOT, blocks_of

PAGE = ROOT / "docs" / "howto" / "drivers.md"


def test_the_example_keeps_the_contract(tmp_path: Path) -> None:
    _, driver, tests = [block.text for block in blocks_of(PAGE) if block.language == "python"]
    shop = tmp_path / "shop"
    shop.mkdir()
    (shop / "__init__.py").touch()
    (shop / "drivers.py").write_text(driver, encoding="utf-8")
    (shop / "test_drivers.py").write_text(tests, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n", encoding="utf-8")
    # Nothing that the suite itself has: neither asyncio for tests nor Django's plugin.
    plain = ["-p", "no:asyncio", "-p", "no:django", "-p", "no:randomly", "-p", "no:valkey"]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plain, "-p", "no:cacheprovider", str(shop)],
        cwd=tmp_path,
        env=os.environ
        | {
            "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}",
            "DJANGO_SETTINGS_MODULE": "tests.settings",
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE * 2,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-2000:]
    assert " passed" in ran.stdout
