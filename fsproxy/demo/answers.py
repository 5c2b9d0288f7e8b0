"""The answers of a capture backend, as recorders read them (wire.md 1, 2, 5 and 6)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

FLAGS: Mapping[str, bool] = {
    "AjaxFetch": True,
    "AjaxWatcher": True,
    "ConsoleWatcher": True,
    "GetCurrentSession": True,
    "UseClientSideId": True,
    "UseCompression": True,
    "UseStaticSettings": True,
}
"""``UseClientSideId`` makes recorders choose ``/rec/bundle/v2``; ``UseCompression`` lets them gzip bundles."""

BUNDLE_INTERVAL_MS = 5000
REMEMBERED_SESSIONS = 10_000
"""A demo that runs for a month must not grow. The session that was seen longest ago is forgotten first."""


@dataclass(frozen=True, slots=True)
class Session:
    """A session of this backend: its own id and that of its visitor."""

    id: str
    user: str


class Sessions:
    """The sessions that this backend has begun: at most ``limit`` of them."""

    def __init__(self, limit: int = REMEMBERED_SESSIONS) -> None:
        self._known: OrderedDict[str, Session] = OrderedDict()
        self._limit = limit

    def of_page(self, session_id: object, user_id: object) -> tuple[Session, bool]:
        """Return the page's session, and whether it is new.

        A known ``SessionId`` goes on. An unknown one, or one that another visitor sends, begins a session. A visitor
        without an id gets one.
        """
        known = self._known.get(session_id) if isinstance(session_id, str) else None
        if known is not None and user_id in {"", None, known.user}:
            self._known.move_to_end(known.id)
            return known, False
        session = Session(str(uuid4()), user_id if isinstance(user_id, str) and user_id else str(uuid4()))
        self._known[session.id] = session
        if len(self._known) > self._limit:
            self._known.popitem(last=False)
        return session, True


def page_problem(page: object) -> str | None:
    """Return what is wrong with a page request, or None. Only ``OrgId`` and ``Url`` are required."""
    if not isinstance(page, dict):
        return "a page request is a JSON object"
    for name in ("OrgId", "Url"):
        if not isinstance(page.get(name), str) or not page[name]:
            return f"{name} must be a string that is not empty"
    return None


def page_answer(page: Mapping[str, Any], sessions: Sessions, now_ms: int) -> dict[str, object]:
    """Return the answer that starts a recording."""
    session, is_new = sessions.of_page(page.get("SessionId"), page.get("UserId"))
    return {
        "Consented": False,
        "CookieDomain": cookie_domain(page["Url"]),
        "PrivacyHash": "",
        "UserUUID": session.user,
        "SessionUUID": session.id,
        "PageUUID": str(uuid4()),
        "UserIntId": "0",
        "SessionIntId": "0",
        "PageIntId": "0",
        "EmbedToken": "",
        "PageStart": now_ms,
        "IsNewSession": is_new,
        "Flags": dict(FLAGS),
        "GCLBSubdomain": "rs",
        "BundleUploadIntervalMS": BUNDLE_INTERVAL_MS,
    }


def cookie_domain(url: str) -> str:
    """Return the page's host, for which the recorder sets its cookie; "" when the URL has none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def bundle_answer(now_ms: int) -> dict[str, object]:
    """Return the answer that lets a recording go on. The next bundle sends it back as ``PrevBundleTime``."""
    return {"BundleTime": now_ms}


def settings_answer(org: str) -> dict[str, object]:
    """Return what recorders of 2023 and later ask for before the page."""
    return {"OrgId": org, "Flags": dict(FLAGS), "BundleUploadIntervalMS": BUNDLE_INTERVAL_MS}


def problem(message: str, code: str) -> dict[str, object]:
    """Return an error in the form of the server API (wire.md 5)."""
    return {"message": message, "code": code}
