"""Three requests to try on the demo: one is captured, one is blocked, and of one a call is cut out."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping

ORG = "o-DEMO-na1"
SESSION = "6f1f2b7e-52a4-4b0e-9d0a-3f0f6c1d2e01"
PAGE = "6f1f2b7e-52a4-4b0e-9d0a-3f0f6c1d2e02"
BLOCKED_PAGE = "6f1f2b7e-52a4-4b0e-9d0a-3f0f6c1d2e03"
"""Another page, because the bundles of a blocked page are blocked, too."""
SITE = "www.example.com"
BLOCKED_SITE = "blocked.example.com"
"""demo.yaml blocks this domain."""


def curl_lines(port: int) -> tuple[str, str, str]:
    """Return lines for a POSIX shell, for a proxy on 127.0.0.1 at ``port``.

    They send a page that is captured (200), a page of a blocked domain (202, ``reason_code`` 4), and a bundle (200)
    with a valid custom event and one without a name, which never reaches the backend.
    """
    return _page_line(port, SITE, PAGE), _page_line(port, BLOCKED_SITE, BLOCKED_PAGE), _bundle_line(port)


def _page_line(port: int, host: str, page_id: str) -> str:
    page = {"OrgId": ORG, "UserId": "", "SessionId": SESSION, "PageId": page_id, "Url": f"https://{host}/"}
    return _line(port, "/rec/page", host, page)


def _bundle_line(port: int) -> str:
    events = [
        {"Kind": 8197, "When": 1200, "Args": ["Order Placed", json.dumps({"total_real": 9.5, "gift_bool": False})]},
        {"Kind": 8197, "When": 1300, "Args": ["", json.dumps({"reason_str": "an event needs a name"})]},
    ]
    target = f"/rec/bundle/v2?OrgId={ORG}&UserId=1&SessionId={SESSION}&PageId={PAGE}&Seq=1"
    return _line(port, target, SITE, {"Seq": 1, "When": 1400, "Evts": events})


def _line(port: int, target: str, host: str, body: Mapping[str, object]) -> str:
    url, data = f"http://127.0.0.1:{port}{target}", json.dumps(body, separators=(",", ":"))
    headers = ("-H", "Content-Type: text/plain", "-H", f"Origin: https://{host}")
    return shlex.join(("curl", "-sS", "-i", url, *headers, "--data-raw", data))
