"""Asking the upstream for a socket. The client sees nothing of the answer before it is known to be one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fsproxy.core.failures import Failure
from fsproxy.core.wire.sockets.websocket import accept_of
from fsproxy.http.response_writer import ResponseWriter

if TYPE_CHECKING:
    import asyncio

    from fsproxy.http.client_request import ClientRequest
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
        """``key``: the client's. ``plain``: no extension may be answered. ``late``: it goes on without its client."""
        super().__init__(request, done, request_id, close=False, with_cors=False, bundle=False)
        self._key = key
        self._plain = plain
        self._late = late

    @property
    def connection(self) -> UpstreamConnection | None:
        """The upstream's side of the socket; None unless the handshake succeeded."""
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
        """Tell whether the client would take it for an answer to its handshake (RFC 6455 4.1)."""
        found = {name.lower(): value.strip() for name, value in head.headers}
        return (
            head.status == 101
            and found.get(b"upgrade", b"").lower() == b"websocket"
            and found.get(b"sec-websocket-accept") == accept_of(self._key)
            and not (self._plain and found.get(EXTENSIONS))
        )

    def on_body(self, data: bytes) -> None:
        """See ResponseSink: of a refusal nothing is passed on."""

    def on_end(self) -> None:
        """See ResponseSink."""

    def on_upgrade(self, rest: bytes) -> None:
        """See ResponseSink."""
        self.rest = rest
        self._finish()

    def on_gone(self) -> None:
        """The client has left."""
        if not self._late:
            super().on_gone()

    def on_progress(self) -> None:
        """See ResponseSink: the head waits for ``pass_head``."""
