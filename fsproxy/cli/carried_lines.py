"""Takes out of a line what carried it here: the prefix of a container runtime, or a JSON object around it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import msgspec

_OURS = b'{"ecs.version"'
_CRI = re.compile(rb"\S+ (stdout|stderr) ([FP])(?::\S*)? ")
"""Kubernetes' form: time, stream, and whether the line is full or is continued in the next one of its stream."""


class _Envelope(msgspec.Struct):
    """A JSON object around a line: docker's json-file driver, the journal's JSON, or a shipper of logs."""

    log: str | None = None
    MESSAGE: str | None = None
    message: str | None = None
    stream: str = ""
    """Docker's: lines over 16 KB come in parts, which belong together by their stream."""


_envelope = msgspec.json.Decoder(_Envelope).decode


class CarriedLines:
    """The lines of one file. Parts of a long line that a runtime cut are put together again."""

    def __init__(self) -> None:
        self._parts: dict[bytes, bytes] = {}
        """What came of an unfinished line, by stream."""

    @property
    def unfinished(self) -> int:
        """Return how many lines wait for their last part."""
        return len(self._parts)

    def unwrap(self, batch: list[bytes]) -> list[bytes]:
        """Return the lines without what was put around them. What is no line of a known carrier stays as it is."""
        if all(line.startswith(_OURS) for line in batch):
            return batch
        return list(self._unwrapped(batch))

    def _unwrapped(self, batch: Sequence[bytes]) -> Iterator[bytes]:
        for line in batch:
            if line.startswith(_OURS):
                yield line
            elif line.startswith(b"{"):
                yield from self._from_envelope(line)
            elif cri := _CRI.match(line):
                stream, tag = cri.groups()
                yield from self._joined(stream, line[cri.end() :], is_whole=tag == b"F")
            else:
                # Everything else that writes a prefix (compose, kubectl, syslog, the journal) writes it on one line.
                yield line[max(line.find(b'{"'), 0) :]

    def _from_envelope(self, line: bytes) -> Iterator[bytes]:
        try:
            envelope = _envelope(line)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            yield line
            return
        if envelope.log is not None:
            text = envelope.log
            yield from self._joined(envelope.stream.encode(), text.encode(), is_whole=text.endswith("\n"))
            return
        text = envelope.MESSAGE or envelope.message or ""
        yield text.encode() if text.startswith("{") else line

    def _joined(self, stream: bytes, text: bytes, *, is_whole: bool) -> Iterator[bytes]:
        if stream in self._parts:
            text = self._parts.pop(stream) + text
        if is_whole:
            yield text
        else:
            self._parts[stream] = text.removesuffix(b"\n")
