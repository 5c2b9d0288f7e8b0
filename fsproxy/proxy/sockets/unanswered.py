"""The frames of one socket that went up and have no answer yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from fsproxy.core.failures import Failure
    from fsproxy.core.wire.sockets.frames import Seq, SocketFrame
    from fsproxy.proxy.flow import Flow

MOST_PAGES = 16
"""Page frames whose answers are waited for. One more, and the oldest counts as failed."""
MOST_UPLOADS = 64
"""Other frames whose answers are waited for. Recorders send one after the other."""


class UnansweredFrames:
    """Finds the frame that an answer belongs to, by its ``Seq``: answers may come in any order (wire.md 7).

    ``on_unanswered`` is called with each page that is not waited for any more.
    """

    def __init__(self, on_unanswered: Callable[[Flow], None]) -> None:
        self._on_unanswered = on_unanswered
        self._pages: dict[Seq, tuple[bytes, Flow]] = {}
        self._uploads: dict[Seq, bytes] = {}

    def __bool__(self) -> bool:
        return bool(self._pages or self._uploads)

    def add_page(self, frame: SocketFrame, child: Flow) -> None:
        """Wait for a page's answer."""
        replaced = self._pages.pop(frame.seq, None)
        if replaced is None and len(self._pages) >= MOST_PAGES:
            replaced = self._pages.pop(next(iter(self._pages)))
        if replaced is not None:
            self._on_unanswered(replaced[1])
        self._pages[frame.seq] = frame.raw_seq, child

    def add_upload(self, frame: SocketFrame) -> None:
        """Wait for the answer to a bundle or to calls."""
        if len(self._uploads) >= MOST_UPLOADS:
            del self._uploads[next(iter(self._uploads))]
        self._uploads[frame.seq] = frame.raw_seq

    def take(self, seq: Seq) -> Flow | None:
        """Wait no longer for the frame with this ``Seq``, which is answered; return its flow if it was a page."""
        found = self._pages.pop(seq, None)
        if found is None:
            self._uploads.pop(seq, None)
        return found[1] if found is not None else None

    def fail_all(self, failure: Failure) -> list[bytes]:
        """Wait for nothing any longer: all pages have failed. Return the ``Seq`` of every frame, as it came."""
        pages = list(self._pages.values())
        sequences = [raw for raw, _ in pages] + list(self._uploads.values())
        self._pages.clear()
        self._uploads.clear()
        for _, child in pages:
            child.failure = failure
            self._on_unanswered(child)
        return sequences
