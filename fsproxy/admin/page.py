"""The operators' page: a few files of this port, which talk to this port alone and run no script but their own."""

from __future__ import annotations

import hashlib
from importlib.resources import files

from aiohttp import web

from fsproxy.admin.api import NO_STORE

PATH = "/"
FOLDER = "/page/"
"""Where the script and the style sheet are."""
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
_RULES = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
    "img-src data:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    # No text can become markup: the browser itself refuses innerHTML and the like.
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
)
POLICY = "; ".join(_RULES)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_PAGE_HEADERS = {
    **NO_STORE,
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}


def is_page(path: str) -> bool:
    """Return whether a path is the page's own. It holds no data, so it needs no token."""
    return path == PATH or path.startswith(FOLDER)


class PageFiles:
    """All files of the page, read once, so that they belong together even while a new version is installed."""

    def __init__(self) -> None:
        folder = files("fsproxy.admin").joinpath("web")
        self._files = {each.name: each.read_bytes() for each in folder.iterdir() if not each.name.startswith(".")}
        # One tag for all: the files of two versions never mix.
        self._tag = hashlib.sha256(b"".join(self._files[name] for name in sorted(self._files))).hexdigest()[:16]

    def answer(self, request: web.Request, name: str = "index.html") -> web.Response:
        """Return one of the files, or 404. A browser asks each time whether its copy is the present one."""
        body = self._files.get(name)
        if body is None:
            raise web.HTTPNotFound
        headers = {**_HEADERS, **_PAGE_HEADERS} if name == "index.html" else {**_HEADERS, "Cache-Control": "no-cache"}
        kind = _TYPES[name[name.rindex(".") :]]
        response = web.Response(body=body, content_type=kind, charset="utf-8", headers=headers)
        if name != "index.html":
            response.etag = self._tag
            if any(each.value == self._tag for each in request.if_none_match or ()):
                return web.Response(status=304, headers={**headers, "ETag": f'"{self._tag}"'})
        return response
