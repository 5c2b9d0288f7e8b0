"""A command whose help says what its exit status means, and gives examples that can be copied whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

WRONG_USAGE = {2: "wrong usage"}
"""Of every command."""


class Documented(click.Command):
    """Adds two sections to the help."""

    def __init__(self, *args: Any, statuses: Mapping[int, str], examples: Sequence[str], **kwargs: Any) -> None:
        """``statuses``: those besides ``WRONG_USAGE``."""
        super().__init__(*args, **kwargs)
        self.statuses = dict(sorted({**statuses, **WRONG_USAGE}.items()))
        self.examples = tuple(examples)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """As click asks for it: after the options."""
        super().format_epilog(ctx, formatter)
        with formatter.section("Exit status"):
            formatter.write_dl([(str(status), text) for status, text in self.statuses.items()])
        with formatter.section("Example" if len(self.examples) == 1 else "Examples"):
            for each in self.examples:
                # Not wrapped: it would be no command any more.
                formatter.write(f"{'':>{formatter.current_indent}}{each}\n")
