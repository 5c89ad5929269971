"""A bare project goes live from the working tree: install, serve, press, hear, examine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_a_bare_project_goes_live() -> None:
    script = ROOT / "tests" / "wheel" / "bare_project.py"
    result = subprocess.run(
        [sys.executable, str(script), "--here"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )
    assert result.returncode == 0, result.stdout
    assert "the event arrived" in result.stdout
    assert "Every hop that was tried works; not tried: event." in result.stdout
    assert "a bare project went live" in result.stdout
