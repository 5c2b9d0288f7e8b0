"""The operators' page: one HTML file that talks to this port alone and may run no script but its own."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files

from fsproxy.admin.api import NO_STORE

PATH = "/"
_INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


def policy(html: str) -> str:
    """Return the Content-Security-Policy under which nothing runs but the file's own script and style."""
    sources: dict[str, list[str]] = {"script": [], "style": []}
    for kind, text in _INLINE.findall(html):
        digest = hashlib.sha256(text.encode()).digest()
        sources[kind].append(f"'sha256-{base64.b64encode(digest).decode()}'")
    allowed = [f"{kind}-src {' '.join(hashes)}" for kind, hashes in sources.items()]
    rest = ["connect-src 'self'", "img-src data:", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"]
    return "; ".join(["default-src 'none'", *allowed, *rest])


def read_page() -> tuple[str, dict[str, str]]:
    """Return the page and the headers of its answer."""
    html = files("fsproxy.admin").joinpath("page.html").read_text("utf-8")
    return html, {
        **NO_STORE,
        "Content-Security-Policy": policy(html),
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "X-Frame-Options": "DENY",
    }
