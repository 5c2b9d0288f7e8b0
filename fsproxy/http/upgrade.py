"""Asking the upstream for a socket. The client sees nothing of the answer until that is known to be a socket."""

from __future__ import annotations

from fsproxy.core.failures import Failure
from fsproxy.core.wire.plain_head import AnswerHead
from fsproxy.core.wire.sockets.websocket import accept_of
from fsproxy.http.response_writer import ResponseWriter
from fsproxy.http.upstream.connection import UpstreamConnection

EXTENSIONS = b"sec-websocket-extensions"


class Upgrade(ResponseWriter, eq=False, kw_only=True):
    """The exchange of one handshake. ``done`` is set once the upstream has answered, or failed."""

    key: bytes = b""
    """The client's ``Sec-WebSocket-Key``."""
    plain: bool = False
    """The answer may name no extension."""
    late: bool = False
    """Go on if the client leaves."""

    @property
    def socket(self) -> UpstreamConnection | None:
        """The upstream's side of the socket, or None if the handshake failed."""
        return self.upgraded if self.failure is None else None

    def pass_head(self) -> None:
        """Write the upstream's 101 to the client, as it came."""
        super().flush()

    def on_head(self, head: AnswerHead) -> None:
        """See ResponseReader."""
        if self._is_accepted(head):
            super().on_head(head)
        else:
            self.head = head
            self.fail(Failure.UPSTREAM_DECLINED)

    def _is_accepted(self, head: AnswerHead) -> bool:
        """Whether the client would accept the head as an answer to its handshake (RFC 6455 4.1)."""
        found = head.headers
        return (
            head.status == 101
            and found.get(b"upgrade", b"").strip().lower() == b"websocket"
            and found.get(b"sec-websocket-accept", b"").strip() == accept_of(self.key)
            and not (self.plain and found.get(EXTENSIONS, b"").strip())
        )

    def on_body(self, data: bytes) -> None:
        """See ResponseReader. Nothing of a refusal is passed on."""

    def complete(self) -> None:
        """See UpstreamExchange. A refusal has been answered already."""
        if self.upgraded is not None:
            self._finish()

    def on_gone(self) -> None:
        """See ResponseWriter."""
        if not self.late:
            super().on_gone()

    def flush(self) -> None:
        """See UpstreamExchange. The head waits for ``pass_head``."""
