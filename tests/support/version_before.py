"""The version before this one: its code, taken out of the repository's history."""

from __future__ import annotations

import subprocess
import tarfile
from io import BytesIO
from pathlib import Path

from support.tools import missing, tool

ROOT = Path(__file__).parents[2]
COMMIT = "e6ac3886f3fa"
"""What counts as the version before: the tag of the last release, from the first one on (CONTRIBUTING.md)."""


def unpacked(folder: Path) -> Path:
    """Put the code of the version before, and its configuration, into a folder, and return it.

    Without the history the test is skipped, and fails in CI.
    """
    command = [tool("git"), "archive", COMMIT, "fsproxy", "config"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    if found.returncode:
        missing(f"the commit {COMMIT}, the version before")
    with tarfile.open(fileobj=BytesIO(found.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder
