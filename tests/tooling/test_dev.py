"""The dev script: what it promises before there is anything to test with."""

import ast
import json
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
SCRIPT = ROOT / "dev"


@pytest.fixture(scope="module")
def dev() -> Any:
    loader = SourceFileLoader("dev_script", str(SCRIPT))
    spec = spec_from_loader("dev_script", loader)
    assert spec is not None
    module = module_from_spec(spec)
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = writes
    return module


def executable(path: Path, says: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {says}\n")
    path.chmod(0o755)


def test_an_old_python_gets_one_sentence() -> None:
    pretend = (
        "import sys; sys.version_info = (3, 10, 13, 'final', 0); "
        f"exec(compile(open({str(SCRIPT)!r}).read(), 'dev', 'exec'))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", pretend], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 1
    assert answer.stderr == "This project needs Python 3.11 or newer; this one is 3.10.\n"


def test_an_old_python_can_read_it() -> None:
    ast.parse(SCRIPT.read_text(), feature_version=(3, 6))


def test_it_knows_the_standard_library_only() -> None:
    imported = set()
    for node in ast.walk(ast.parse(SCRIPT.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").split(".")[0])
    assert imported <= sys.stdlib_module_names


def test_what_it_does_not_know_goes_to_pytest(dev: Any) -> None:
    options, rest = dev.parse(["test", "--full", "-k", "echo or presence", "tests/node", "-x"])
    assert options.full
    assert rest == ["-k", "echo or presence", "tests/node", "-x"]


def test_what_it_does_not_know_goes_to_the_benchmarks(dev: Any) -> None:
    words = ["fanout", "--only", "soketi", "uws-limit", "--rate", "5", "--help"]
    assert dev.parse(["bench", *words])[1] == words


def test_a_mistyped_option_of_the_demo_is_refused(dev: Any) -> None:
    with pytest.raises(SystemExit) as stop:
        dev.parse(["demo", "--prot", "9000"])
    assert stop.value.code == 2


def test_the_contributors_guide_names_every_verb(dev: Any) -> None:
    guide = (ROOT / "CONTRIBUTING.md").read_text()
    for verb in ("demo", "test", "check", "matrix", "docs", "bench"):
        assert dev.parse([verb])[0].run is getattr(dev, verb)
        assert f"./dev {verb} " in guide


@pytest.mark.parametrize(
    ("version", "suffices"),
    [
        ("v18.20.4", False),
        ("v20.18.3", False),
        ("v20.19.0", True),
        ("v21.7.3", False),
        ("v22.11.0", False),
        ("v22.12.0", True),
        ("v26.1.0", True),
        ("nonsense", False),
    ],
)
def test_a_node_too_old_for_echo_is_not_used(
    dev: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str, suffices: bool
) -> None:
    executable(tmp_path / "node", version)
    executable(tmp_path / "npm", "11.0.0")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert dev.node_suffices() is suffices


def test_the_matrix_takes_the_newest_patch_release_from_pyenv(
    dev: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for version in ("3.9.18", "3.11.7", "3.12.9", "3.12.10", "3.13.0", "3.13-dev"):
        executable(tmp_path / "versions" / version / "bin" / "python3", version)
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    folders = {Path(folder).parent.name for folder in dev.pyenv_folders()}
    assert folders == {"3.11.7", "3.12.10", "3.13.0"}


def test_a_browser_that_was_named_comes_first(
    dev: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    executable(tmp_path / "chromium", "1")
    executable(tmp_path / "mine", "2")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("BROADCASTING_CHROMIUM", raising=False)
    assert dev.find_chromium() == str(tmp_path / "chromium")
    monkeypatch.setenv("BROADCASTING_CHROMIUM", str(tmp_path / "mine"))
    assert dev.find_chromium() == str(tmp_path / "mine")


class TestTheStamp:
    @pytest.fixture
    def project(self, dev: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
        """Put a finished environment into a scratch project; return what is installed anew."""
        for name in ("pyproject.toml", "package-lock.json", "hatch_build.py"):
            (tmp_path / name).write_text(name)
        venv = tmp_path / ".venv"
        executable(venv / "bin" / "python", "Python")
        (venv / "pyvenv.cfg").write_text("version = 3.11.7")
        (tmp_path / "vendor").mkdir()
        monkeypatch.setattr(dev, "ROOT", tmp_path)
        monkeypatch.setattr(dev, "VENV", venv)
        monkeypatch.setattr(dev, "PYTHON", venv / "bin" / "python")
        monkeypatch.setattr(dev, "STAMP", venv / "dev-stamp.json")
        monkeypatch.setattr(dev, "VENDOR", tmp_path / "vendor")
        commands: list[Any] = []
        monkeypatch.setattr(dev, "must", commands.append)
        dev.install("dev")
        assert len(commands) == 2
        commands.clear()
        return commands

    def test_a_second_run_installs_nothing(self, dev: Any, project: list[Any]) -> None:
        dev.install("dev")
        dev.install()
        assert project == []

    def test_another_group_is_added_to_what_is_there(self, dev: Any, project: list[Any]) -> None:
        dev.install("node")
        assert project[-1][-2:] == ["--group=dev", "--group=node"]
        assert json.loads(dev.STAMP.read_text())["groups"] == ["dev", "node"]

    @pytest.mark.parametrize("name", ["pyproject.toml", "package-lock.json", ".venv/pyvenv.cfg"])
    def test_a_change_installs_again(self, dev: Any, project: list[Any], name: str) -> None:
        (dev.ROOT / name).write_text("changed")
        dev.install("dev")
        assert project

    def test_missing_browser_libraries_install_again(self, dev: Any, project: list[Any]) -> None:
        dev.VENDOR.rmdir()
        dev.install("dev")
        assert project
