"""What the package's metadata say that is written elsewhere: the README, as a package index shows it.

Its links lead to files of the repository, which an index does not have. They become plain text there.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_IMAGE = re.compile(r"!\[[^\]]*\]\([^)]*\)\n*")
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?!https?:)[^)]*\)")


def of_an_index(readme: str) -> str:
    """Return the text without its images, and without links but to whole addresses."""
    return _LINK.sub(r"\1", _IMAGE.sub("", readme))


class Metadata(MetadataHookInterface):
    """Fills in ``readme``."""

    PLUGIN_NAME = "custom"

    def update(self, metadata: dict[str, Any]) -> None:
        """Add it to what pyproject.toml says."""
        readme = (Path(self.root) / "README.md").read_text("utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": of_an_index(readme)}
