"""Holds back a configuration that would change too many pages (``reload.max_change``), until it is taken."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from fsproxy.clock import now
from fsproxy.core.trial.tally import Tally
from fsproxy.proxy.trial.kept_pages import KeptPages
from fsproxy.telemetry.conditions import Condition, Level

if TYPE_CHECKING:
    from fsproxy.core.model import Instant
    from fsproxy.proxy.data_plane import DataPlane
    from fsproxy.proxy.generation import Generation


class Held(msgspec.Struct, frozen=True):
    """A configuration that was not loaded."""

    changed_share: float
    """Of all pages of the last ten minutes, 0 to 1."""
    since: Instant
    tally: Tally
    """What would change in the sample."""


class HoldingBack:
    """Keeps pages while the configuration in force says so, and judges them before another one is loaded."""

    def __init__(self) -> None:
        self.held: Held | None = None
        """The one that waits to be taken; None: the newest one is in force, or has faults."""
        self._kept: KeptPages | None = None
        self._is_source = False

    def follow(self, data_plane: DataPlane) -> None:
        """Keep pages, or no more, as the configuration in force says. Nothing is held back any more."""
        self.held = None
        if not self._is_source:
            self._is_source = True
            data_plane.conditions.sources.append(self._conditions)
        wanted = data_plane.generation.config.reload.max_change is not None
        if wanted and self._kept is None:
            self._kept = KeptPages(data_plane.judges)
            self._kept.start()
        elif not wanted and self._kept is not None:
            self._kept.stop()
            self._kept = None

    async def holds(self, before: Generation, candidate: Generation) -> bool:
        """Return whether the candidate is held back, by the limit that is in force ``before`` it.

        One that waits already goes on waiting until then: it and its successor are one condition.
        """
        limit, kept = before.config.reload.max_change, self._kept
        if limit is None or kept is None:
            return False
        share, tally = await kept.judged(before, candidate, now(), before.config.audit.mask)
        if share <= limit:
            return False
        self.held = Held(share, now(), tally)
        return True

    def _conditions(self, _: Instant) -> Iterator[Condition]:
        held = self.held
        if held is not None:
            judged, changed = held.tally.pages, held.tally.changed
            yield Condition(
                "reload:held-back",
                Level.WARN,
                held.since,
                f"a changed configuration is held back: it would change {held.changed_share:.1%} of the pages",
                f"Of {judged} pages of the last ten minutes that were judged with it {changed} get "
                'another code. The present one stays in force. POST /reload with {"force": true} '
                "takes the new one; a file that changes again is judged anew.",
            )
