"""What tests/conftest.py does for all tests."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

HANGS = """
    import contextlib, time

    def test_that_hangs():
        while True:
            with contextlib.suppress(BaseException):
                time.sleep(60)
"""


ALONE = pytest.param((), marks=pytest.mark.full)


@pytest.mark.parametrize(
    "workers",
    [ALONE, pytest.param(("-n", "1"), marks=pytest.mark.full)],
    ids=["alone", "in a worker"],
)
def test_what_survives_its_timeout_ends_the_process_and_is_named(
    tmp_path: Path, workers: tuple[str, ...]
) -> None:
    (tmp_path / "test_it.py").write_text(textwrap.dedent(HANGS))
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    options = "-p tests.conftest -p no:cacheprovider -p no:django -p no:broadcasting"
    answer = subprocess.run(
        [sys.executable, "-m", "pytest", *options.split(), "-o", "timeout=0.5", *workers, tmp_path],
        cwd=ROOT,
        env={**os.environ, "PYTEST_ADDOPTS": "", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode != 0
    assert "test_it.py::test_that_hangs did not end within 1 s:" in answer.stderr
    assert "in test_that_hangs" in answer.stderr
    assert not workers or "crashed while running" in answer.stdout
