"""The matrix: oldest and newest of what is supported, and the core without its drivers.

Plain pip in plain virtual environments, so that a machine's own package sources count here as
everywhere else. ``./dev matrix`` runs it and finds the interpreters.
"""

import tomllib
from pathlib import Path

import nox
from packaging.requirements import Requirement

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "virtualenv"
nox.options.download_python = "never"
nox.options.reuse_existing_virtualenvs = False
nox.options.stop_on_first_error = False

NEWER = [
    nox.param("3.12", "6.0", id="3.12-django6.0"),
    nox.param("3.13", "6.1", id="3.13-django6.1"),
]
FAST = ["-m", "not full and not browser and not node", "-n", "2", "-p", "no:cacheprovider"]


@nox.session(python="3.11")
def lowest(session: nox.Session) -> None:
    """Run the tests on the oldest of everything that pyproject.toml promises to work with."""
    constraints = Path(session.create_tmp()) / "lowest.txt"
    constraints.write_text("\n".join(declared_floors()) + "\n", encoding="utf-8")
    install(session, "--constraint", str(constraints))
    session.run("python", "-m", "pytest", *FAST, *session.posargs)


@nox.session
@nox.parametrize(["python", "django"], NEWER)
def newer(session: nox.Session, django: str) -> None:
    """Run the tests on a newer Python and Django, with the newest of everything else."""
    install(session, f"django~={django}.0")
    session.run("python", "-m", "pytest", *FAST, *session.posargs)


@nox.session(python="3.12")
def core(session: nox.Session) -> None:
    """Use the package where none of the drivers' libraries is installed."""
    session.install("django", "channels", "msgspec")
    session.install("--no-deps", ".")
    script = Path(__file__).parent / "tests" / "tooling" / "smoke.py"
    session.chdir(session.create_tmp())
    session.run("python", str(script), "--core-only")


def install(session: nox.Session, *arguments: str) -> None:
    """Install the package with every extra, the tools of the tests and what is asked for."""
    session.install("pip>=25.1")
    session.install("--editable", ".[all]", "--group", "test", *arguments)
    session.run("python", "-m", "pip", "list", silent=False)


def declared_floors() -> list[str]:
    """Return each direct dependency pinned to the version that its ``>=`` names."""
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    declared = {*project["dependencies"], *(line for extra in extras for line in extra)}
    floors = []
    for requirement in sorted(map(Requirement, declared), key=str):
        if requirement.name == project["name"]:
            continue
        marker = f"; {requirement.marker}" if requirement.marker else ""
        (floor,) = requirement.specifier
        floors.append(f"{requirement.name}=={floor.version}{marker}")
    return floors
