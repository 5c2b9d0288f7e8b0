"""The recorder's socket, ``/rec/sock`` (wire.md 7): each frame gets one answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fsproxy.demo.answers import Sessions, bundle_answer, page_answer, page_problem
from fsproxy.demo.received import BodyError, parsed

PAGE, BUNDLE, FAIL, PAGE_ANSWER, BUNDLE_ANSWER, EVENT, EVENT_ANSWER = 1, 2, 3, 4, 5, 6, 7
"""The ``Cmd`` of frames. PAGE, BUNDLE and EVENT come from the recorder, the others from the backend."""


def frame_answer(text: str, sessions: Sessions, now_ms: int) -> dict[str, object]:
    """Return the answer to one text frame. A frame that is not understood gets a ``Fail`` with the status 400."""
    try:
        frame = parsed(text.encode("utf-8", "surrogatepass"))
    except BodyError:
        frame = None
    if not isinstance(frame, dict):
        return _fail(None, "a frame is a JSON object")
    if frame.get("Cmd") == PAGE:
        return _page(frame, sessions, now_ms)
    if frame.get("Cmd") in (BUNDLE, EVENT):
        if not isinstance(frame.get("Bundle"), dict):
            return _fail(frame.get("Seq"), "a bundle frame holds a Bundle")
        return {
            "Cmd": BUNDLE_ANSWER if frame["Cmd"] == BUNDLE else EVENT_ANSWER,
            "Seq": frame.get("Seq"),
            "Bundle": bundle_answer(now_ms),
        }
    return _fail(frame.get("Seq"), "unknown Cmd")


def _page(frame: Mapping[str, Any], sessions: Sessions, now_ms: int) -> dict[str, object]:
    page = frame.get("Page")
    wrong = page_problem(page)
    if wrong is not None or not isinstance(page, dict):
        return _fail(frame.get("Seq"), wrong or "")
    return {"Cmd": PAGE_ANSWER, "Seq": frame.get("Seq"), "Page": page_answer(page, sessions, now_ms)}


def _fail(seq: object, error: str) -> dict[str, object]:
    return {"Cmd": FAIL, "Seq": seq, "Fail": {"Status": 400, "Error": error}}
