"""Commands of the program that end by themselves, or by a signal."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from support.forking import FSPROXY, Fork, nothing, started

DEADLINE = 120


class Command:
    """A command that runs, and what it has printed."""

    def __init__(self) -> None:
        self.process: asyncio.subprocess.Process | Fork
        self._out, self._err = TemporaryFile("a+b"), TemporaryFile("a+b")  # noqa: SIM115 - until it has ended

    @classmethod
    async def begin(cls, folder: Path, *words: str, env: Mapping[str, str] | None = None) -> Command:
        """``fsproxy WORDS`` in a folder, with these changes of the environment."""
        made = cls()
        with nothing() as none:
            made.process = await started((*FSPROXY, *words), folder, env or {}, (none, made._out, made._err))
        return made

    def errors(self) -> str:
        """What stands on standard error by now."""
        return _text(self._err)

    async def ended(self) -> tuple[int, str, str]:
        """Exit status, standard output and standard error."""
        try:
            async with asyncio.timeout(DEADLINE):
                code = await self.process.wait()
        finally:
            if self.process.returncode is None:
                self.process.kill()
                await self.process.wait()
        with self._out, self._err:
            return code, _text(self._out), _text(self._err)


def _text(file: IO[bytes]) -> str:
    file.seek(0)  # what is written meanwhile goes to the end
    return file.read().decode()


async def run(folder: Path, *words: str, env: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of ``fsproxy WORDS``."""
    return await (await Command.begin(folder, *words, env=env)).ended()
