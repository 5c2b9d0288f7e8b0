"""Reads the frames of a socket, and redacts those that are pages or pass undecided (rules.md 8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fsproxy.core.failures import Failure
from fsproxy.core.model import Route
from fsproxy.core.wire.one_reading import UnclearError
from fsproxy.core.wire.sockets.frames import KEPT, Command, SocketFrame, read_ends, read_frame
from fsproxy.core.wire.sockets.uploads import read_upload
from fsproxy.proxy.off_loop import run
from fsproxy.proxy.redacting import redacted_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from fsproxy.core.redact.redaction import Redaction
    from fsproxy.proxy.flow import Flow

ON_LOOP = 64 * 1024
"""Bytes of a message that are read on the event loop; a larger one is read in a thread."""
_PAGE, _CALLS = Command.PAGE, Command.EVENT


async def read_message(
    text: bytes, rules: Redaction | None, note_fault: Callable[[Exception], None]
) -> tuple[SocketFrame | None, bool]:
    """Return a recorder's frame, None for any other text, and whether all readers agree on it.

    Where redaction fails closed, any other text counts as a frame that is not clear.
    """
    try:
        found = await run(len(text) > ON_LOOP, read_frame, text)
    except UnclearError:
        return read_ends(text[:KEPT], text[-KEPT:]), False
    except Exception as error:  # noqa: BLE001 - a fault of ours must not cost data
        note_fault(error)
        found = None
    if found is None and rules is not None and rules.fails_closed:
        return read_ends(text[:KEPT], text[-KEPT:]), False
    return found, True


async def redacted_frame(
    child: Flow, rules: Redaction, found: SocketFrame, text: bytes, note_fault: Callable[[Exception], None]
) -> tuple[bytes, Failure | None]:
    """Return a frame, redacted, the same object if nothing is; and why it may not go up, None if it may."""
    try:
        instead = await _redacted(child, rules, found, text)
    except Exception as error:  # noqa: BLE001 - a fault of ours must not cost the socket
        note_fault(error)
        return text, Failure.INTERNAL if rules.fails_closed else None
    return (text, Failure.UNINSPECTABLE) if instead is None else (instead, None)


async def _redacted(child: Flow, rules: Redaction, found: SocketFrame, text: bytes) -> bytes | None:
    is_page = found.command is _PAGE
    place = found.place
    if not is_page:
        child.form = Route.EVENT if found.command is _CALLS else Route.BUNDLE
        try:
            upload = found.upload or await run(len(text) > ON_LOOP, read_upload, text, place)
        except UnclearError:
            upload = None
        place = upload.place if upload is not None else (0, 0)
    start, end = place
    content = text[start:end]
    instead = await redacted_text(child, rules, content, is_page=is_page)
    if instead is None or instead is content:
        return None if instead is None else text
    return text[:start] + instead + text[end:]
