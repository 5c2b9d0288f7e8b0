"""Programs that some tests need and that not every machine has."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest


def missing(what: str) -> NoReturn:
    """Skips the test; in CI, where nothing may be missing, it fails."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} is missing")
    pytest.skip(f"{what} is missing")


def tool(name: str) -> str:
    """The path of a program; without it the test is skipped, and fails in CI."""
    return shutil.which(name) or missing(name)
