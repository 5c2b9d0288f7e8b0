"""What all sockets of this process use together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from fsproxy.core.wire.sockets.frames import SocketFrame
    from fsproxy.proxy.flow import Flow
    from fsproxy.proxy.generation import Generation
    from fsproxy.proxy.page import PageHandler
    from fsproxy.proxy.record import Recorder
    from fsproxy.proxy.upload import UploadHandler
    from fsproxy.telemetry.metrics import Metrics

log = structlog.get_logger("fsproxy")


@dataclass(slots=True)
class SocketServices:
    """The handlers that decide on pages and uploads, and where sockets are counted and recorded."""

    uploads: UploadHandler
    pages: PageHandler
    recorder: Recorder
    metrics: Metrics
    generation: Callable[[], Generation]
    """Returns the present one: a socket may outlive many, and each frame is checked by the rules of its time."""
    trial: Callable[[Flow, SocketFrame, bytes, Callable[..., Awaitable[Any]]], Awaitable[Any]] | None = None
    """Judges a frame beside, and has it decided by the function that it is given; set while a candidate is tried."""
    draining: bool = False
    """The program stops: each socket is closed after its last answer."""

    def count_end(self, cause: str) -> None:
        """Count an answer that ends a recording."""
        self.metrics.recordings_ended[(cause,)] += 1

    def note_fault(self, error: BaseException) -> None:
        """Count and log a fault of ours that a socket has survived."""
        self.metrics.own_failures[("socket",)] += 1
        log.error("a fault of ours on a socket was survived", exc_info=error)
