"""Asking the upstream for a socket. The client sees nothing of the answer until that is known to be a socket."""

from __future__ import annotations

import asyncio

from fsproxy.core.failures import Failure
from fsproxy.core.wire.sockets.websocket import accept_of
from fsproxy.http.client_request import ClientRequest
from fsproxy.http.response_writer import ResponseWriter
from fsproxy.http.responses import ResponseHead
from fsproxy.http.upstream_connection import UpstreamConnection

EXTENSIONS = b"sec-websocket-extensions"


class Upgrade(ResponseWriter):
    """A ResponseSink for one handshake. ``done`` is set once the upstream has answered, or failed."""

    __slots__ = ("_key", "_late", "_plain")

    def __init__(
        self,
        request: ClientRequest,
        done: asyncio.Future[None],
        request_id: bytes,
        key: bytes,
        *,
        plain: bool,
        late: bool,
    ) -> None:
        """``key``: the client's. ``plain``: the answer may name no extension. ``late``: go on if the client leaves."""
        super().__init__(request, done, request_id, close=False, with_cors=False, bundle=False)
        self._key = key
        self._plain = plain
        self._late = late

    @property
    def connection(self) -> UpstreamConnection | None:
        """The upstream's side of the socket, or None if the handshake failed."""
        return self.exchange.upgraded if self.failure is None and self.exchange is not None else None

    def pass_head(self) -> None:
        """Write the upstream's 101 to the client, as it came."""
        self._flush()

    def on_head(self, head: ResponseHead) -> None:
        """See ResponseSink."""
        if self._is_accepted(head):
            super().on_head(head)
        else:
            self.head = head
            self.on_broken(Failure.UPSTREAM_DECLINED)

    def _is_accepted(self, head: ResponseHead) -> bool:
        """Whether the client would accept the head as an answer to its handshake (RFC 6455 4.1)."""
        found = {name.lower(): value.strip() for name, value in head.headers}
        return (
            head.status == 101
            and found.get(b"upgrade", b"").lower() == b"websocket"
            and found.get(b"sec-websocket-accept") == accept_of(self._key)
            and not (self._plain and found.get(EXTENSIONS))
        )

    def on_body(self, data: bytes) -> None:
        """See ResponseSink. Nothing of a refusal is passed on."""

    def on_end(self) -> None:
        """See ResponseSink."""

    def on_upgrade(self, rest: bytes) -> None:
        """See ResponseSink."""
        self.rest = rest
        self._finish()

    def on_gone(self) -> None:
        """See ResponseWriter."""
        if not self._late:
            super().on_gone()

    def on_progress(self) -> None:
        """See ResponseSink. The head waits for ``pass_head``."""
