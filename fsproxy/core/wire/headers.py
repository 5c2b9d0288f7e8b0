"""The request head that goes to the upstream: which lines are forwarded, which dropped, and our own (rules.md 4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum, unique
from typing import Self

from fsproxy.core.wire.client_address import ClientAddress
from fsproxy.core.wire.cookies import kept_cookies
from fsproxy.core.wire.header_names import FORWARDING, HOP_BY_HOP, ORDINARY, PROXY_PREFIX, REPLACED, underscored
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
    """How a request's body is delimited, if not by a length."""

    NONE = "none"
    """There is no body, and no header about one."""
    CHUNKED = "chunked"
    UPGRADE = "upgrade"
    """There is no body, and ``Upgrade`` is forwarded as it came."""


@unique
class Do(IntEnum):
    """What is done with a line because of its name."""

    KEEP = 0
    DROP = 1
    COOKIE = 2
    ACCEPT_ENCODING = 3
    TE = 4
    UPGRADE = 5
    CONNECTION = 6
    LOOK = 7
    """The name is in no table, and may be a ``Proxy-*``."""


# These are compared for every line, and as globals they cost one look-up instead of two.
_KEEP, _DROP, _LOOK, _CONNECTION = Do.KEEP, Do.DROP, Do.LOOK, Do.CONNECTION


@dataclass(frozen=True, slots=True)
class UpstreamHeaders:
    """Makes request heads for the upstream, by one configuration."""

    cookies: frozenset[bytes] | None
    """The names of the cookies that are forwarded; None: all."""
    forwarded: bool
    from_trusted: Mapping[bytes, Do]
    from_untrusted: Mapping[bytes, Do]

    @classmethod
    def compile(cls, *, cookies: frozenset[str] | None, client_header: str, forwarded: bool) -> Self:
        """Compile ``cookies`` and ``forwarded`` of the section ``upstream``, and ``header`` of ``client_ip``."""
        client = {client_header.lower().encode("ascii", "replace")}
        doing = dict.fromkeys(ORDINARY, Do.KEEP)
        doing |= dict.fromkeys(HOP_BY_HOP | REPLACED | {b"host", b"content-length", b"expect", b"cdn-loop"}, Do.DROP)
        # No well-behaved proxy, trusted or not, sends these spellings.
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
        """Return the whole request head, with its empty line.

        ``target`` is forwarded as it came. ``authority`` is the upstream's own ``Host``, by which it routes; the
        client's is in ``X-Forwarded-Host``. ``framing`` is the body's length in bytes, or a Framing. ``passage``, the
        name of this instance, is appended to ``CDN-Loop`` (RFC 8586). ``page`` narrows ``Accept-Encoding`` to what
        we can read (rules.md 1), but never adds it.
        """
        upgrade = framing is Framing.UPGRADE
        # Requests with equal lines share ``headers``, which keep one ClientAddress while peer and scheme do not change.
        # So comparing identities is enough to know that the lines would come out the same.
        made = headers.forward_lines
        if made is None or made[0] is not self or made[1] is not client or made[2] != (page, upgrade):
            block = self._block(headers, client, passage, page=page, upgrade=upgrade)
            made = headers.forward_lines = (self, client, (page, upgrade), block)
        if isinstance(framing, int):
            end = b"Content-Length: %d\r\n\r\n" % framing
        else:
            end = b"Transfer-Encoding: chunked\r\n\r\n" if framing is Framing.CHUNKED else b"\r\n"
        return b"%b %b HTTP/1.1\r\nHost: %b%b%b\r\n%b" % (method, target, authority, made[3], request_id, end)

    def _block(self, headers: Headers, client: ClientAddress, passage: bytes, *, page: bool, upgrade: bool) -> bytes:
        """Return all between the values of ``Host`` and ``X-Request-Id``, which a visitor's requests have in common."""
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
    """Return the value of ``Forwarded`` (RFC 7239): the same chain; the last element, ours, has scheme and host."""
    nodes = (f'for="[{node}]"' if ":" in node else f"for={node}" for node in client.chain.split(", "))
    host = f';host="{client.host}"' if client.host else ""
    return f"{', '.join(nodes)};proto={client.proto}{host}"
