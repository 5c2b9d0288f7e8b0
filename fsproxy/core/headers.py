"""Header lines on their way up and down: what goes on, what stops here, what is ours (rules.md 4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum, unique
from typing import Self

from fsproxy.core.client_address import ClientAddress
from fsproxy.core.cookies import kept_cookies
from fsproxy.core.header_names import (
    FORWARDING,
    HOP_BY_HOP,
    ORDINARY,
    PROXY_PREFIX,
    REPLACED,
    underscored,
)
from fsproxy.core.header_values import NAMES_NOTHING, RawHeaders, accepts_trailers, narrowed_encoding, without_named

EXPOSED = (b"X-Request-Id", b"FSProxy-Rejected", b"Retry-After")
"""What a page's script may read of an answer (CORS), where it is there."""


@unique
class Framing(Enum):
    """How a request's body is delimited, where it is not by a length."""

    NONE = "none"
    """No body, and no header that speaks of one."""
    CHUNKED = "chunked"
    UPGRADE = "upgrade"
    """No body; ``Upgrade`` goes up as it came."""


@unique
class _Do(IntEnum):
    KEEP = 0
    DROP = 1
    COOKIE = 2
    ACCEPT_ENCODING = 3
    TE = 4
    UPGRADE = 5
    CONNECTION = 6
    LOOK = 7
    """Not a name we know: may be ``Proxy-*``."""


# Bound once: an enum's member costs a look-up through its class, and these are compared for every line.
_KEEP, _DROP, _LOOK, _CONNECTION, _UPGRADE = _Do.KEEP, _Do.DROP, _Do.LOOK, _Do.CONNECTION, _Do.UPGRADE


@dataclass(frozen=True, slots=True)
class UpstreamHeaders:
    """The way up, compiled from a configuration."""

    cookies: frozenset[bytes] | None
    """Names that go up; None: all."""
    forwarded: bool
    from_trusted: Mapping[bytes, _Do]
    from_untrusted: Mapping[bytes, _Do]

    @classmethod
    def compile(cls, *, cookies: frozenset[str] | None, client_header: str, forwarded: bool) -> Self:
        """``cookies`` and ``forwarded`` of ``upstream``, ``header`` of ``client_ip``."""
        client = {client_header.lower().encode("ascii", "replace")}
        doing = dict.fromkeys(ORDINARY, _Do.KEEP)
        doing |= dict.fromkeys(HOP_BY_HOP | REPLACED | {b"host", b"content-length", b"expect"}, _Do.DROP)
        # These spellings never come from a well-behaved proxy, trusted or not.
        doing |= dict.fromkeys(underscored(FORWARDING | REPLACED), _Do.DROP)
        doing |= {b"cookie": _Do.KEEP if cookies is None else _Do.COOKIE, b"accept-encoding": _Do.ACCEPT_ENCODING}
        doing |= {b"connection": _Do.CONNECTION, b"te": _Do.TE, b"upgrade": _Do.UPGRADE}
        return cls(
            cookies=None if cookies is None else frozenset(name.encode("utf-8", "replace") for name in cookies),
            forwarded=forwarded,
            from_trusted=doing | ({b"forwarded": _Do.DROP} if forwarded else {}),
            from_untrusted=doing | dict.fromkeys(FORWARDING | client, _Do.DROP),
        )

    def head(
        self,
        method: bytes,
        target: bytes,
        authority: bytes,
        headers: RawHeaders,
        client: ClientAddress,
        request_id: bytes,
        framing: int | Framing,
        *,
        page: bool = False,
    ) -> bytes:
        """The whole request head, with its empty line.

        ``authority`` is the upstream's own ``Host``, as its routing needs; the client's is in
        ``X-Forwarded-Host``. ``target`` goes up as it came. ``framing``: the body's length in bytes, or a
        Framing. On a page, ``Accept-Encoding`` is narrowed to what we can read (rules.md 1); it is never
        invented.
        """
        parts = [b"%b %b HTTP/1.1\r\nHost: %b" % (method, target, authority)]
        add = parts.append
        join = b": ".join
        do = (self.from_trusted if client.trusted else self.from_untrusted).get
        special: list[tuple[_Do, tuple[bytes, bytes]]] = []
        for pair in headers:
            what = do(pair[0].lower(), _LOOK)
            if what is _KEEP:
                add(join(pair))
            elif what is _LOOK:
                if pair[0][:6].lower() != PROXY_PREFIX:
                    add(join(pair))
            elif what is _CONNECTION:
                if pair[1].lower() not in NAMES_NOTHING:
                    named = without_named(headers)
                    return self.head(method, target, authority, named, client, request_id, framing, page=page)
            elif what is not _DROP:
                special.append((what, pair))
        upgrade = framing is Framing.UPGRADE
        if special or upgrade:
            parts += self._special(special, page=page, upgrade=upgrade)
        add(self._ours(client) + request_id)
        if isinstance(framing, int):
            add(b"Content-Length: %d\r\n\r\n" % framing)
        else:
            add(b"Transfer-Encoding: chunked\r\n\r\n" if framing is Framing.CHUNKED else b"\r\n")
        return b"\r\n".join(parts)

    def _special(
        self, special: Iterable[tuple[_Do, tuple[bytes, bytes]]], *, page: bool, upgrade: bool
    ) -> Iterable[bytes]:
        accept: list[bytes] = []
        trailers = False
        for what, (name, value) in special:
            if what is _Do.COOKIE and self.cookies is not None:
                kept = kept_cookies(value, self.cookies)
                if kept:
                    yield b"%b: %b" % (name, kept)
            elif what is _Do.ACCEPT_ENCODING and page:
                accept.append(value)
            elif what is _Do.TE:
                trailers = trailers or accepts_trailers(value)
            elif what is _Do.ACCEPT_ENCODING or upgrade:
                yield b"%b: %b" % (name, value)
        if accept:
            yield b"Accept-Encoding: " + narrowed_encoding(b",".join(accept))
        if upgrade or trailers:
            yield _CONNECTION_LINES[upgrade, trailers]

    def _ours(self, client: ClientAddress) -> bytes:
        host = f"\r\nX-Forwarded-Host: {client.host}" if client.host else ""
        forwarded = f"\r\nForwarded: {_forwarded(client)}" if self.forwarded else ""
        return (
            f"X-Forwarded-For: {client.chain}\r\nX-Forwarded-Proto: {client.proto}{host}{forwarded}\r\nX-Request-Id: "
        ).encode("ascii", "replace")


_CONNECTION_LINES = {
    (True, True): b"Connection: Upgrade, TE\r\nTE: trailers",
    (True, False): b"Connection: Upgrade",
    (False, True): b"Connection: TE\r\nTE: trailers",
}


def _forwarded(client: ClientAddress) -> str:
    """RFC 7239: the same chain; what we know of scheme and host stands at the last, our own element."""
    nodes = (f'for="[{node}]"' if ":" in node else f"for={node}" for node in client.chain.split(", "))
    host = f';host="{client.host}"' if client.host else ""
    return f"{', '.join(nodes)};proto={client.proto}{host}"


_DOWN: Mapping[bytes, _Do] = {
    **dict.fromkeys(ORDINARY | {b"cookie", b"content-length"}, _Do.KEEP),
    **dict.fromkeys(HOP_BY_HOP | {b"x-request-id", b"fsproxy-rejected"}, _Do.DROP),
    b"connection": _Do.CONNECTION,
    b"upgrade": _Do.UPGRADE,
}


def downstream_headers(
    headers: RawHeaders,
    request_id: bytes,
    extra: Iterable[tuple[bytes, bytes]] = (),
    *,
    capture: bool = False,
    upgrade: bool = False,
) -> list[tuple[bytes, bytes]]:
    """The answer's lines for the client: order, case and repetition as they came.

    ``X-Request-Id`` is ours. ``extra`` is added (``FSProxy-Rejected``). On ``capture`` routes, where the
    answer has CORS headers, ``Access-Control-Expose-Headers`` names what we added. A length beside a
    ``Transfer-Encoding`` is dropped, as RFC 9112 6.3 asks. ``upgrade``: the answer is a 101.
    """
    down = _end_to_end(headers, upgrade=upgrade)
    ours = [(b"X-Request-Id", request_id), *extra]
    if capture:
        _expose(down, tuple(name for name, _ in ours if name in EXPOSED))
    return down + ours


def _end_to_end(headers: RawHeaders, *, upgrade: bool) -> list[tuple[bytes, bytes]]:
    down: list[tuple[bytes, bytes]] = []
    do = _DOWN.get
    chunked = False
    for pair in headers:
        what = do(pair[0].lower(), _LOOK)
        if what is _KEEP:
            down.append(pair)
        elif what is _LOOK:
            if pair[0][:6].lower() != PROXY_PREFIX:
                down.append(pair)
        elif what is _CONNECTION:
            if pair[1].lower() not in NAMES_NOTHING:
                return _end_to_end(without_named(headers), upgrade=upgrade)
        elif what is _UPGRADE and upgrade:
            down += (pair, (b"Connection", b"Upgrade"))
        elif pair[0].lower() == b"transfer-encoding":
            chunked = True
    return [pair for pair in down if pair[0].lower() != b"content-length"] if chunked else down


def _expose(down: list[tuple[bytes, bytes]], names: tuple[bytes, ...]) -> None:
    seen = {name.lower(): at for at, (name, _) in enumerate(down) if name[:15].lower() == b"access-control-"}
    if b"access-control-allow-origin" not in seen:
        return
    at = seen.get(b"access-control-expose-headers")
    if at is None:
        down.append((b"Access-Control-Expose-Headers", b", ".join(names)))
        return
    name, value = down[at]
    there = {part.strip() for part in value.lower().split(b",")}
    # For a credentialed request "*" is only a name (Fetch 3.3.3): it does not expose ours.
    if b"*" in there and b"access-control-allow-credentials" not in seen:
        return
    missing = [each for each in names if each.lower() not in there]
    if missing:
        down[at] = (name, b", ".join([value, *missing]) if value.strip() else b", ".join(missing))
