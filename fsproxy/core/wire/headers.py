"""Header lines on their way up: what goes on, what stops here, what is ours (rules.md 4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum, unique
from typing import Self

from fsproxy.core.wire.client_address import ClientAddress
from fsproxy.core.wire.cookies import kept_cookies
from fsproxy.core.wire.header_names import (
    FORWARDING,
    HOP_BY_HOP,
    ORDINARY,
    PROXY_PREFIX,
    REPLACED,
    underscored,
)
from fsproxy.core.wire.header_values import (
    NAMES_NOTHING,
    Headers,
    accepts_trailers,
    index,
    narrowed_encoding,
    without_named,
)


@unique
class Framing(Enum):
    """How a request's body is delimited, where it is not by a length."""

    NONE = "none"
    """No body, and no header that speaks of one."""
    CHUNKED = "chunked"
    UPGRADE = "upgrade"
    """No body; ``Upgrade`` goes up as it came."""


@unique
class Do(IntEnum):
    """What is done with a line, by its name."""

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
_KEEP, _DROP, _LOOK, _CONNECTION, _UPGRADE = Do.KEEP, Do.DROP, Do.LOOK, Do.CONNECTION, Do.UPGRADE


@dataclass(frozen=True, slots=True)
class UpstreamHeaders:
    """The way up, compiled from a configuration."""

    cookies: frozenset[bytes] | None
    """Names that go up; None: all."""
    forwarded: bool
    from_trusted: Mapping[bytes, Do]
    from_untrusted: Mapping[bytes, Do]

    @classmethod
    def compile(cls, *, cookies: frozenset[str] | None, client_header: str, forwarded: bool) -> Self:
        """``cookies`` and ``forwarded`` of ``upstream``, ``header`` of ``client_ip``."""
        client = {client_header.lower().encode("ascii", "replace")}
        doing = dict.fromkeys(ORDINARY, Do.KEEP)
        doing |= dict.fromkeys(HOP_BY_HOP | REPLACED | {b"host", b"content-length", b"expect", b"cdn-loop"}, Do.DROP)
        # These spellings never come from a well-behaved proxy, trusted or not.
        doing |= dict.fromkeys(underscored(FORWARDING | REPLACED), Do.DROP)
        doing |= {b"cookie": Do.KEEP if cookies is None else Do.COOKIE, b"accept-encoding": Do.ACCEPT_ENCODING}
        doing |= {b"connection": Do.CONNECTION, b"te": Do.TE, b"upgrade": Do.UPGRADE}
        return cls(
            cookies=None if cookies is None else frozenset(name.encode("utf-8", "replace") for name in cookies),
            forwarded=forwarded,
            from_trusted=doing | ({b"forwarded": Do.DROP} if forwarded else {}),
            from_untrusted=doing | dict.fromkeys(FORWARDING | client, Do.DROP),
        )

    def head(
        self,
        method: bytes,
        target: bytes,
        authority: bytes,
        headers: Headers,
        client: ClientAddress,
        request_id: bytes,
        framing: int | Framing,
        *,
        passage: bytes,
        page: bool = False,
    ) -> bytes:
        """The whole request head, with its empty line.

        ``authority`` is the upstream's own ``Host``, as its routing needs; the client's is in
        ``X-Forwarded-Host``. ``target`` goes up as it came. ``framing``: the body's length in bytes, or a
        Framing. ``passage``: this instance's name, which is appended to ``CDN-Loop`` (RFC 8586). On a page,
        ``Accept-Encoding`` is narrowed to what we can read (rules.md 1); it is never invented.
        """
        block = self._remembered(headers, client, passage, page=page, upgrade=framing is Framing.UPGRADE)
        if isinstance(framing, int):
            end = b"Content-Length: %d\r\n\r\n" % framing
        else:
            end = b"Transfer-Encoding: chunked\r\n\r\n" if framing is Framing.CHUNKED else b"\r\n"
        return b"%b %b HTTP/1.1\r\nHost: %b%b%b\r\n%b" % (method, target, authority, block, request_id, end)

    def _remembered(
        self, headers: Headers, client: ClientAddress, passage: bytes, *, page: bool, upgrade: bool
    ) -> bytes:
        made = headers.forward_lines
        if made is not None and made[0] is self and made[1] is client and made[2] == (page, upgrade):
            known: bytes = made[3]
            return known
        block = self._block(headers, client, passage, page=page, upgrade=upgrade)
        headers.forward_lines = (self, client, (page, upgrade), block)
        return block

    def _block(self, headers: Headers, client: ClientAddress, passage: bytes, *, page: bool, upgrade: bool) -> bytes:
        """All between ``Host``'s value and the request id's: what a visitor's next request has again."""
        parts = [b""]
        add = parts.append
        do = (self.from_trusted if client.trusted else self.from_untrusted).get
        special: list[tuple[Do, tuple[bytes, bytes]]] = []
        for name, line in headers.each():
            what = do(name, _LOOK)
            if what is _KEEP:
                add(line)
            elif what is _LOOK:
                if name[:6] != PROXY_PREFIX:
                    add(line)
            elif what is _CONNECTION:
                if line.partition(b": ")[2].lower() not in NAMES_NOTHING:
                    return self._block(index(without_named(headers.lines)), client, passage, page=page, upgrade=upgrade)
            elif what is not _DROP:
                sent, _, value = line.partition(b": ")
                special.append((what, (sent, value)))
        if special or upgrade:
            parts += self._special(special, page=page, upgrade=upgrade)
        passed = headers.get(b"cdn-loop")
        add(b"CDN-Loop: %b, %b" % (passed, passage) if passed else b"CDN-Loop: " + passage)
        add(self._ours(client))
        return b"\r\n".join(parts)

    def _special(
        self, special: Iterable[tuple[Do, tuple[bytes, bytes]]], *, page: bool, upgrade: bool
    ) -> Iterable[bytes]:
        accept: list[bytes] = []
        trailers = False
        for what, (name, value) in special:
            if what is Do.COOKIE and self.cookies is not None:
                kept = kept_cookies(value, self.cookies)
                if kept:
                    yield b"%b: %b" % (name, kept)
            elif what is Do.ACCEPT_ENCODING and page:
                accept.append(value)
            elif what is Do.TE:
                trailers = trailers or accepts_trailers(value)
            elif what is Do.ACCEPT_ENCODING or upgrade:
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
