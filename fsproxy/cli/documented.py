"""Commands whose help explains the exit status and gives examples that can be copied whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

_WRONG_USAGE = {2: "wrong usage"}


class Documented(click.Command):
    """A command with two more sections in its help."""

    def __init__(self, *args: Any, statuses: Mapping[int, str], examples: Sequence[str], **kwargs: Any) -> None:
        """Take ``statuses`` without the one of wrong usage, which every command has."""
        super().__init__(*args, **kwargs)
        self.statuses = dict(sorted({**statuses, **_WRONG_USAGE}.items()))
        self.examples = tuple(examples)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the two sections after the options."""
        super().format_epilog(ctx, formatter)
        with formatter.section("Exit status"):
            formatter.write_dl([(str(status), text) for status, text in self.statuses.items()])
        with formatter.section("Example" if len(self.examples) == 1 else "Examples"):
            for each in self.examples:
                # A wrapped line would be no command any more.
                formatter.write(f"{'':>{formatter.current_indent}}{each}\n")
