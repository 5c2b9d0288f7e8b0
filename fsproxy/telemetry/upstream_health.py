"""Whether the hosts of the upstream answer: an origin that fails is one line of the log, however many requests fail."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fsproxy.core.failures import Failure
from fsproxy.core.model import Instant
from fsproxy.telemetry.conditions import Condition, Level

PATIENCE_SECONDS = 2.0
"""An upstream fails when a request failed and for so long none has succeeded ..."""
ENOUGH = 3
"""... and, where connections come about, so many have failed in a row: one slow answer alone is none of its faults."""
ERRORS = 500
"""From this status on an answer says that the upstream has failed."""
ANSWERS_5XX = "upstream_5xx"
"""The kind of an upstream that answers, but with a status of 500 or more. Those answers are passed on."""
_NO_CONNECTION = frozenset(
    {
        Failure.UPSTREAM_REFUSED,
        Failure.UPSTREAM_DNS,
        Failure.UPSTREAM_TLS,
        Failure.UPSTREAM_CONNECT_TIMEOUT,
    }
)
_TEXTS = {
    Failure.UPSTREAM_REFUSED: "it refuses connections",
    Failure.UPSTREAM_DNS: "its name is not found",
    Failure.UPSTREAM_TLS: "no secure connection comes about",
    Failure.UPSTREAM_CONNECT_TIMEOUT: "it takes no connection in time",
    Failure.UPSTREAM_TIMEOUT: "it does not answer in time",
    Failure.UPSTREAM_RESET: "it closes connections without an answer",
    Failure.UPSTREAM_CUT: "its answers are cut",
    Failure.UPSTREAM_INVALID: "what it answers is not valid HTTP/1.1",
    Failure.UPSTREAM_DECLINED: "it accepts no sockets",
    Failure.UPSTREAM_BUSY: "all connections to it are in use",
    ANSWERS_5XX: "it answers with errors",
}
_REMEDIES = {
    Failure.UPSTREAM_REFUSED: "Start the backend, or correct upstream.url or upstream.prefixes.",
    Failure.UPSTREAM_DNS: "Correct upstream.url or upstream.prefixes, or the resolver of this machine.",
    Failure.UPSTREAM_TLS: "Correct its certificate, or name its authority in upstream.tls.ca.",
    Failure.UPSTREAM_CONNECT_TIMEOUT: "A firewall may drop what is sent; try curl -v to it from this machine.",
    Failure.UPSTREAM_TIMEOUT: "Look at the backend; upstream.timeouts.response is how long it may take.",
    Failure.UPSTREAM_RESET: "Look at its log at that time, and at that of a balancer before it.",
    Failure.UPSTREAM_CUT: "Look at its log at that time, and at that of a balancer before it.",
    Failure.UPSTREAM_INVALID: "Port or scheme may be wrong, such as http:// in upstream.url and a port of TLS.",
    Failure.UPSTREAM_DECLINED: "Look at the backend, and at a balancer before it that does not know WebSockets.",
    Failure.UPSTREAM_BUSY: "The backend is slow, or upstream.max_connections is too low.",
    ANSWERS_5XX: "Look at the backend's log. fsproxy passes these answers on.",
}
_COST = "Uploads stay with the recorders and come again; pages that load meanwhile are not captured."


@dataclass(slots=True)
class Trouble:
    """Failures of one origin in a row, without a success between them."""

    since: Instant
    count: int = 0
    kind: str = ""
    """The newest one's."""
    detail: str = ""
    """More about the newest one, in our words or the system's; "" when the kind says all."""
    reported: bool = False


class UpstreamHealth:
    """Is called for each failure, and for the first success after one."""

    def __init__(self) -> None:
        self.troubles: dict[str, Trouble] = {}
        """By the origin's address. A success needs to be reported only while its origin is in here."""
        self._over: list[Condition] = []

    @property
    def last_failure(self) -> str | None:
        """The kind of the newest failure of an origin that has not succeeded since; None: there is none."""
        return next((each.kind for each in reversed(self.troubles.values())), None)

    def state(self, *, is_used: bool) -> str:
        """Return ``failing``, ``up``, or ``unknown`` while nothing was answered (``is_used``) yet."""
        if any(trouble.reported for trouble in self.troubles.values()):
            return "failing"
        return "up" if is_used else "unknown"

    def failed(self, address: str, kind: str, detail: str, now: Instant) -> None:
        """Note that a request failed."""
        trouble = self.troubles.get(address)
        if trouble is None:
            trouble = self.troubles[address] = Trouble(now)
        trouble.count += 1
        trouble.kind, trouble.detail = kind, detail

    def succeeded(self, address: str, now: Instant) -> None:
        """Note that a request was answered."""
        trouble = self.troubles.pop(address, None)
        if trouble is not None and trouble.reported:
            self._over.append(_condition(address, trouble, now))

    def answered(self, address: str, status: int, now: Instant) -> None:
        """Note the status of an answer: one of ``ERRORS`` or more is a failure, though it is passed on."""
        if status == Failure.LOOP.status:
            return  # our own answer, which says that the upstream leads back to us
        if status >= ERRORS:
            self.failed(address, ANSWERS_5XX, str(status), now)
        else:
            self.succeeded(address, now)

    def conditions(self, now: Instant) -> Iterator[Condition]:
        """Yield which origins fail, and which did and are back: a source."""
        over, self._over = self._over, []
        yield from over
        for address, trouble in self.troubles.items():
            trouble.reported = trouble.reported or _fails(trouble, now)
            if trouble.reported:
                yield _condition(address, trouble, None)

    def forget(self) -> None:
        """Forget everything: the upstream has changed."""
        self.troubles.clear()


def _fails(trouble: Trouble, now: Instant) -> bool:
    enough = 1 if trouble.kind in _NO_CONNECTION else ENOUGH
    # A clock that was set back must not keep it from being reported.
    return not 0 <= now - trouble.since < PATIENCE_SECONDS and trouble.count >= enough


def _condition(address: str, trouble: Trouble, ended: Instant | None) -> Condition:
    detail = f" ({trouble.detail})" if trouble.detail else ""
    return Condition(
        id=f"upstream:{address}",
        level=Level.BAD,
        since=trouble.since,
        text=f"the upstream {address} fails: {_TEXTS[trouble.kind]}{detail}",
        more=f"{_COST} {_REMEDIES[trouble.kind]}",
        count=trouble.count,
        counted="failed requests",
        fields={"address": address, "kind": trouble.kind},
        ended=ended,
    )
