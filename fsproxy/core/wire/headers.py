"""The request head that goes to the upstream: which lines are forwarded, which dropped, and our own (rules.md 4)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, unique
from typing import Self

from fsproxy.core.wire.client_address import ClientAddress
from fsproxy.core.wire.cookies import kept_cookies
from fsproxy.core.wire.header_names import FORWARDING, HOP_BY_HOP, REPLACED, lines_named, underscored
from fsproxy.core.wire.header_values import (
    NAMES_NOTHING,
    Headers,
    accepts_trailers,
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


@dataclass(frozen=True, slots=True)
class UpstreamHeaders:
    """Makes request heads for the upstream, by one configuration.

    A head is not put together from its lines. It is the client's own, from which lines are cut out by their names, and
    to which ours are added.
    """

    cookies: frozenset[bytes] | None
    """The names of the cookies that are forwarded; None: all."""
    forwarded: bool
    origin: bytes
    """The line that replaces ``Origin``, after a CRLF; "" where it goes up as it came."""
    allowing: re.Pattern[bytes]
    """Finds the line of an answer that allows the replaced origin."""
    cut_trusted: re.Pattern[bytes]
    cut_untrusted: re.Pattern[bytes]

    @classmethod
    def compile(
        cls, *, cookies: frozenset[str] | None, client_header: str, forwarded: bool, origin: str | None = None
    ) -> Self:
        """Compile keys of the section ``upstream``, and ``header`` of ``client_ip``."""
        cut = HOP_BY_HOP | REPLACED | {b"host", b"content-length", b"expect", b"cdn-loop", b"accept-encoding"}
        if cookies is not None:
            cut |= {b"cookie"}
        if origin is not None:
            cut |= {b"origin"}
        replaced = (origin or "").encode("ascii")
        return cls(
            cookies=None if cookies is None else frozenset(name.encode("utf-8", "replace") for name in cookies),
            forwarded=forwarded,
            origin=b"\r\nOrigin: " + replaced if replaced else b"",
            allowing=re.compile(rb"(\r\n(?i:access-control-allow-origin): )%b(?=\r\n|\Z)" % re.escape(replaced)),
            cut_trusted=lines_named(cut | {b"forwarded"} if forwarded else cut),
            cut_untrusted=lines_named(cut | FORWARDING | {client_header.lower().encode("ascii", "replace")}),
        )

    def head(
        self,
        start: str,
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

        ``start``: the method and the target, which is forwarded as it came. ``authority`` is the upstream's own
        ``Host``, by which it routes; the client's is in ``X-Forwarded-Host``. ``framing`` is the body's length in
        bytes, or a Framing. ``passage``, the name of this instance, is appended to ``CDN-Loop`` (RFC 8586). ``page``
        narrows ``Accept-Encoding`` to what we can read (rules.md 1), but never adds it.
        """
        block = headers.block
        if not headers.plain:
            # No well-behaved proxy, trusted or not, sends these spellings.
            block = _MISSPELT.sub(b"", block)
            connection = headers.get(b"connection")
            if connection is not None and connection.lower() not in NAMES_NOTHING:
                block = without_named(block, connection)
        kept = (self.cut_trusted if client.trusted else self.cut_untrusted).sub(b"", block)
        passed = headers.get(b"cdn-loop")
        upgrade = False
        if isinstance(framing, int):
            end = b"Content-Length: %d\r\n\r\n" % framing
        else:
            upgrade = framing is Framing.UPGRADE
            end = b"Transfer-Encoding: chunked\r\n\r\n" if framing is Framing.CHUNKED else b"\r\n"
        if headers.plain and not upgrade:
            changed = self._changed_plain(headers, page=page)
        else:
            changed = self._changed(headers, page=page, upgrade=upgrade)
        if self.origin and b"origin" in headers:
            changed += self.origin
        host = f"\r\nX-Forwarded-Host: {client.host}" if client.host else ""
        forwarded = f"\r\nForwarded: {_forwarded(client)}" if self.forwarded else ""
        ours = f"\r\nX-Forwarded-For: {client.chain}\r\nX-Forwarded-Proto: {client.proto}{host}{forwarded}"
        return b"%b HTTP/1.1\r\nHost: %b%b%b\r\nCDN-Loop: %b%b%b\r\nX-Request-Id: %b\r\n%b" % (
            start.encode("utf-8", "surrogateescape"),
            authority,
            kept,
            changed,
            passed + b", " if passed else b"",
            passage,
            ours.encode("ascii", "replace"),
            request_id,
            end,
        )

    def restored(self, lines: bytes, origin: bytes) -> bytes:
        """Return an answer's lines with the client's own origin allowed in place of the one that replaced it."""
        return self.allowing.sub(lambda found: found[1] + origin, lines)

    def _changed(self, headers: Headers, *, page: bool, upgrade: bool) -> bytes:
        """Return the lines, each after a CRLF, that are forwarded in another form, or only where one asks for them."""
        lines = b""
        for name, value in headers.judged:
            lower = name.lower()
            if lower == b"cookie" and self.cookies is not None:
                kept = kept_cookies(value, self.cookies)
                lines += b"\r\n%b: %b" % (name, kept) if kept else b""
            elif (lower == b"accept-encoding" and not page) or (lower == b"upgrade" and upgrade):
                lines += b"\r\n%b: %b" % (name, value)
        if page and b"accept-encoding" in headers:
            lines += b"\r\nAccept-Encoding: " + narrowed_encoding(headers[b"accept-encoding"])
        trailers = b"te" in headers and accepts_trailers(headers)
        return lines + _CONNECTION_LINES[upgrade, trailers] if upgrade or trailers else lines

    def _changed_plain(self, headers: Headers, *, page: bool) -> bytes:
        """Do the same for a plain head, which has one line for each name and asks for no upgrade."""
        names = [*headers]  # in the order of their lines
        cookie = accept = b""
        at = after = 0
        if self.cookies is not None and b"cookie" in headers:
            at = names.index(b"cookie")
            name, value = headers.judged[at]
            kept = kept_cookies(value, self.cookies)
            cookie = b"\r\n%b: %b" % (name, kept) if kept else b""
        if b"accept-encoding" in headers:
            if page:
                return b"%b\r\nAccept-Encoding: %b" % (cookie, narrowed_encoding(headers[b"accept-encoding"]))
            after = names.index(b"accept-encoding")
            accept = b"\r\n%b: %b" % headers.judged[after]
        return cookie + accept if at <= after else accept + cookie


_CONNECTION_LINES = {
    (True, True): b"\r\nConnection: Upgrade, TE\r\nTE: trailers",
    (True, False): b"\r\nConnection: Upgrade",
    (False, True): b"\r\nConnection: TE\r\nTE: trailers",
}


_MISSPELT = lines_named(underscored(FORWARDING | REPLACED))


def _forwarded(client: ClientAddress) -> str:
    """Return the value of ``Forwarded`` (RFC 7239): the same chain; the last element, ours, has scheme and host."""
    nodes = (f'for="[{node}]"' if ":" in node else f"for={node}" for node in client.chain.split(", "))
    host = f';host="{client.host}"' if client.host else ""
    return f"{', '.join(nodes)};proto={client.proto}{host}"
