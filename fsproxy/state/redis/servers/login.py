"""What is said to a server first, and what it must be."""

from __future__ import annotations

from dataclasses import dataclass

from redis.exceptions import ReadOnlyError

from fsproxy.state.redis.servers.reasons import UnusableError
from fsproxy.state.redis.servers.refusals import A_NODE, A_SENTINEL, NO_NODE, NO_SENTINEL

_KINDS = {"cluster": A_NODE, "sentinel": A_SENTINEL}
_OTHERS = {"cluster": NO_NODE, "sentinel": NO_SENTINEL}
"""What is wrong with a server that answers in place of one of these."""


@dataclass(frozen=True, slots=True, repr=False)
class Login:
    """What is said to a server first, and what it must be."""

    username: str | None = None
    password: str | None = None
    database: int = 0
    mode: str = "standalone"
    """What kind of server it must be, in the word of its answer to HELLO."""

    def commands(self) -> list[tuple[str, ...]]:
        """Return the commands. They go out in one write, and each is answered."""
        found: list[tuple[str, ...]] = []
        if self.username or self.password:
            found.append(("AUTH", *filter(None, [self.username]), self.password or ""))
        if self.database:
            found.append(("SELECT", str(self.database)))
        # It needs no right. INFO and ROLE, which say the same, do.
        return [*found, ("HELLO",)]

    def verify(self, mode: str, role: str) -> None:
        """Raise UnusableError or ReadOnlyError for a server of another kind. What it does not say is right."""
        if mode and mode != self.mode:
            raise UnusableError(_OTHERS.get(self.mode) or _KINDS.get(mode, "it is of an unknown kind"))
        # A Cluster's replica sends every key to its primary.
        if role in {"replica", "slave"} and self.mode != "cluster":
            raise ReadOnlyError("READONLY it is a replica")
