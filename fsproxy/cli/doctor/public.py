"""The way from a visitor to fsproxy, tried through the public URL.

Most is asked in a way that fsproxy itself answers, so that nothing of it reaches the backend: a page that is none, a
call that is none, a query that contradicts itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp

from fsproxy.cli.doctor.findings import Finding, fault, ok, unknown, warning
from fsproxy.cli.doctor.upstream import settings_path
from fsproxy.config.schema import Config, TopMode
from fsproxy.core.model import Mode
from fsproxy.http.origin import Origin
from fsproxy.http.upstream.hosts import address_for

CONTRADICTION = "OrgId=doctor&OrgId=other"
"""A query that fsproxy refuses on capture routes, whatever the body."""
_TOO_LARGE = 413
_PROBLEM = "application/problem+json"
_CHUNK = bytes(64 * 1024)


@dataclass(frozen=True, slots=True)
class Reached:
    """fsproxy's own answer to a request that came through the public URL."""

    request_id: str


@dataclass(frozen=True, slots=True)
class Public:
    """The public URL, and what is used to ask there."""

    http: aiohttp.ClientSession
    url: str
    """Without a slash at its end."""
    origin: str
    config: Config

    @property
    def page(self) -> str:
        """Return the path of pages."""
        return self.config.routes.page[0]

    @property
    def bundle(self) -> str:
        """Return the path of bundles."""
        return self.config.routes.bundle[0]

    async def probe(self, body: bytes, headers: dict[str, str] | None = None, query: str = "") -> Reached | int:
        """Send a page that is none. Return fsproxy's own answer, or the status of somebody else's."""
        headers = {"Content-Type": "text/plain", "Origin": self.origin, **(headers or {})}
        async with self.http.post(
            f"{self.url}{self.page}{query}", data=body, headers=headers, allow_redirects=False
        ) as response:
            await response.read()
            if not is_ours(response):
                return response.status
            return Reached(response.headers["X-Request-Id"])

    async def ends(self) -> tuple[str, str]:
        """Return this machine's address on the way there, and that of what answers there."""
        origin = Origin.of(self.url)
        _, writer = await asyncio.open_connection(origin.host, origin.port)
        own, peer = (writer.get_extra_info(each)[0] for each in ("sockname", "peername"))
        writer.close()
        return str(own), str(peer)


def is_ours(response: aiohttp.ClientResponse) -> bool:
    """Return whether an answer is fsproxy's own."""
    return "X-Request-Id" in response.headers and response.content_type == _PROBLEM


async def reached(public: Public) -> AsyncIterator[Finding]:
    """Ask whether it is fsproxy that answers at the public URL."""
    answer = await public.probe(b"fsproxy doctor")
    if isinstance(answer, Reached):
        yield ok("public.reached", "fsproxy answers there")
    else:
        yield fault(
            "public.reached",
            f"POST {public.page} was answered {answer} by something else than fsproxy",
            "Have what is in front pass /rec/, /s/ and /datalayer/ to fsproxy with path and X-Request-Id as they are.",
        )


async def cross_origin(public: Public) -> AsyncIterator[Finding]:
    """Read the CORS headers of an answer, and ask as a browser asks before it sends JSON."""
    headers = {"Content-Type": "text/plain", "Origin": public.origin}
    async with public.http.post(f"{public.url}{public.page}", data=b"fsproxy doctor", headers=headers) as response:
        allowed = response.headers.getall("Access-Control-Allow-Origin", [])
        credentials = response.headers.getall("Access-Control-Allow-Credentials", [])
    if allowed == [public.origin] and credentials == ["true"]:
        yield ok("public.cors", f"browsers on {public.origin} may read the answers")
    elif not allowed:
        advice = "Add it to cors.origins, if it is not there; otherwise what is in front removes CORS headers."
        yield fault("public.cors", f"answers do not allow {public.origin}, so recorders cannot read them", advice)
    else:
        text = f"Access-Control-Allow-Origin is {', '.join(allowed):.100}, with credentials {', '.join(credentials)}"
        advice = f"It must be {public.origin} once, with credentials true: remove CORS headers in what is in front."
        yield fault("public.cors", text, advice)
    asked = {
        "Origin": public.origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    async with public.http.options(f"{public.url}{public.bundle}", headers=asked) as response:
        status, allowed = response.status, response.headers.getall("Access-Control-Allow-Origin", [])
    text = f"OPTIONS {public.bundle} was answered {status}, with{'' if allowed else 'out'} Access-Control-Allow-Origin"
    if status < 300 and allowed in ([public.origin], ["*"]):
        yield ok("public.preflight", "a preflight request is allowed")
    else:
        yield warning(
            "public.preflight",
            text,
            "Recorders ask no such thing; calls that browsers send as JSON would fail. The backend answers it.",
        )


async def socket(public: Public) -> AsyncIterator[Finding]:
    """Open a WebSocket, and close it again."""
    if not public.config.routes.socket:
        return
    path = public.config.routes.socket[0]
    try:
        opened = await public.http.ws_connect(f"{public.url}{path}", origin=public.origin)
    except aiohttp.WSServerHandshakeError as error:
        yield fault(
            "public.socket",
            f"an upgrade of {path} was answered {error.status}: recorders wait for ever on this",
            "Have what is in front pass Upgrade and Connection on, with HTTP/1.1.",
        )
    else:
        await opened.close()
        yield ok("public.socket", "a WebSocket opens")


async def size(public: Public, mode: object) -> AsyncIterator[Finding]:
    """Send a body just under ``server.max_body``, which fsproxy refuses by itself. ``mode``: as it runs.

    A call that is none is read whole first. Where calls are not judged, a query that contradicts itself is refused
    without that, and a program in front may take the early end for a failure.
    """
    length, direct = public.config.server.max_body - 1, public.config.routes.direct_event
    judged = mode == TopMode.ENFORCE and public.config.core.default.client_api.mode is Mode.ENFORCE
    target = direct if direct is not None and judged else f"{public.bundle}?{CONTRADICTION}"

    async def body() -> AsyncIterator[bytes]:
        for start in range(0, length, len(_CHUNK)):
            yield _CHUNK[: length - start]

    # What is in front can then refuse the length before the body is sent.
    headers = {"Content-Type": "text/plain", "Content-Length": str(length), "Expect": "100-continue"}
    check, text = "public.size", f"a body of {length} bytes"
    try:
        async with public.http.post(f"{public.url}{target}", data=body(), headers=headers) as response:
            await response.read()
            ours, status = "X-Request-Id" in response.headers, response.status
    except (aiohttp.ClientError, TimeoutError) as error:
        advice = "It may be cut off by what is in front, or be too much for the line: compare their limits."
        yield warning(check, f"{text} did not get through: {type(error).__name__}", advice)
        return
    advice = "Raise its limit to server.max_body, or lower that one (nginx: client_max_body_size)."
    if ours:
        yield ok(check, f"{text} is taken by all that is in front")
    elif status == _TOO_LARGE:
        said = f"{text} is refused with {status} by something in front: it ends recordings that fsproxy would take"
        yield fault(check, said, advice)
    elif target is direct:
        yield warning(check, f"{text} was answered {status} by something in front", advice)
    else:
        yield unknown(check, f"{text} was answered {status} by something in front, which may have another reason")


async def compression(public: Public, upstream: aiohttp.ClientSession, org: str | None) -> AsyncIterator[Finding]:
    """Compare the backend's settings with those that come through the public URL, byte for byte."""
    path, headers = settings_path(org), {"Accept-Encoding": "gzip"}
    direct = address_for(public.config.upstream, path)
    found = []
    check = "public.answers"
    try:
        for http, url in ((upstream, direct), (public.http, f"{public.url}{path}")):
            async with http.get(url, headers=headers, allow_redirects=False) as response:
                body = await response.read()
                found.append((response.status, response.headers.get("Content-Encoding", "identity"), body))
    except aiohttp.ClientError as error:
        yield unknown(check, f"answers could not be compared: {type(error).__name__}")
        return
    (status, encoding, body), (their_status, their_encoding, their_body) = found
    if status != 200:
        yield unknown(check, f"the backend has no settings to compare ({status})", "Name your org with --org.")
    elif their_status != status:
        text = f"GET {path} is answered {status} by the backend, and {their_status} through the public URL"
        yield fault(check, text, "Have what is in front pass /s/ to fsproxy.")
    elif their_encoding != encoding:
        text = f"an answer is {encoding} from the backend, and {their_encoding} through the public URL"
        yield warning(check, text, "Switch compression off in what is in front: it must pass answers as they are.")
    elif their_body != body:
        advice = "If it was not changed between two questions, what is in front changes or caches it."
        yield warning(check, f"GET {path} is not the same through the public URL", advice)
    else:
        yield ok(check, "answers come through byte for byte")
