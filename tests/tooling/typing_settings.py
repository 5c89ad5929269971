"""The settings that mypy's Django plugin reads: the models of the suite and of the example.

Not for running anything.
"""

from pathlib import Path

from example_project.settings import INSTALLED_APPS as EXAMPLE
from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS as SUITE

BASE_DIR = Path(__file__).parent
INSTALLED_APPS = [*SUITE, *(app for app in EXAMPLE if app not in SUITE)]
