"""The operators' page: one HTML file that asks nobody but this port, and may run nothing but its own script."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files

from aiohttp import web
from aiohttp.typedefs import Handler

from fsproxy.admin.api import NO_STORE

PATH = "/"
_INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


def policy(html: str) -> str:
    """The Content-Security-Policy under which nothing runs but what stands in the file."""
    sources: dict[str, list[str]] = {"script": [], "style": []}
    for kind, text in _INLINE.findall(html):
        digest = hashlib.sha256(text.encode()).digest()
        sources[kind].append(f"'sha256-{base64.b64encode(digest).decode()}'")
    allowed = [f"{kind}-src {' '.join(hashes)}" for kind, hashes in sources.items()]
    rest = ["connect-src 'self'", "img-src data:", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"]
    return "; ".join(["default-src 'none'", *allowed, *rest])


def show_page() -> Handler:
    """The handler. The file is read once."""
    html = files("fsproxy.admin").joinpath("page.html").read_text("utf-8")
    headers = {
        **NO_STORE,
        "Content-Security-Policy": policy(html),
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "X-Frame-Options": "DENY",
    }

    async def show(_: web.Request) -> web.Response:
        return web.Response(text=html, content_type="text/html", headers=headers)

    return show
