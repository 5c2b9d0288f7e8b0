"""Reads audit lines from any number of files, plain or gzip, in constant memory."""

from __future__ import annotations

import gzip
import io
import os
import sys
import zlib
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import BinaryIO, cast

import click

from fsproxy.cli.carried_lines import CarriedLines

GZIP_MAGIC = b"\x1f\x8b"
STDIN = "-"
_BUFFER = 1 << 20
_MARK = b'"event.action"'
"""Every audit line has this name, and no line of the operational log has it."""


class AuditFiles:
    """The lines of some files, in order."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._raw: BinaryIO | None = None
        self._before = 0
        """Bytes of the files that were read whole."""
        self.unfinished = 0
        """Last lines without a line end, of files that are still being written or were cut."""
        self.without_lines: list[str] = []
        """The files in which no audit line was found, of those that were read whole."""

    @property
    def size(self) -> int:
        """Return the bytes of all files as they are stored; 0 when one of them has no size."""
        try:
            sizes = [0 if name == STDIN else os.stat(name).st_size for name in self._names]  # noqa: PTH116 - names, not paths
        except OSError:
            return 0
        return sum(sizes) if all(sizes) else 0

    @property
    def done(self) -> int:
        """Return how many bytes of the files, as they are stored, were read."""
        try:
            return self._before + (self._raw.tell() if self._raw is not None else 0)
        except OSError:  # a pipe
            return 0

    def report_without_lines(self) -> None:
        """Name on standard error the files in which no audit line was found. Call it once all lines were read."""
        for name in self.without_lines:
            click.echo(f"{name}: there are no audit lines in it", err=True)

    def __iter__(self) -> Iterator[bytes]:
        """Give the lines, each with its line end. Raises ClickException when a file cannot be read."""
        return chain.from_iterable(self.batches())

    def batches(self) -> Iterator[list[bytes]]:
        """Give the lines, about a megabyte of them at a time. Raises ClickException when a file cannot be read."""
        for name in self._names:
            try:
                with _opened(name) as raw:
                    self._raw = raw
                    yield from self._lines(name, raw)
                    self._before, self._raw = self.done, None
            except (OSError, EOFError, zlib.error) as error:
                problem = error.strerror if isinstance(error, OSError) and error.strerror else "not whole gzip data"
                raise click.ClickException(f"{name}: {problem}") from None

    def _lines(self, name: str, raw: BinaryIO) -> Iterator[list[bytes]]:
        buffered = cast("io.BufferedReader", raw)
        lines: BinaryIO = buffered
        if buffered.peek(2).startswith(GZIP_MAGIC):
            # The buffer of GzipFile is so small that filling it takes most of the time.
            unzipped = cast("io.RawIOBase", gzip.GzipFile(fileobj=buffered, mode="rb"))
            lines = io.BufferedReader(unzipped, _BUFFER)
        carried = CarriedLines()
        found = False
        while batch := lines.readlines(_BUFFER):
            if not batch[-1].endswith(b"\n"):
                self.unfinished += 1
                del batch[-1]
            batch = carried.unwrap(batch)
            found = found or any(_MARK in line for line in batch)
            yield batch
        self.unfinished += carried.unfinished
        if not found:
            self.without_lines.append(name)


def _opened(name: str) -> BinaryIO:
    if name == STDIN:
        return cast("BinaryIO", io.BufferedReader(io.FileIO(sys.stdin.fileno(), closefd=False), _BUFFER))
    return open(name, "rb", buffering=_BUFFER)  # noqa: PTH123 - a name as click gives it
