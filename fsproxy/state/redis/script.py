"""The script that carries out the ledger's operations in Redis: its text, and the constants that it is given."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files

import msgspec

from fsproxy.core.limits.operations import RESERVATION_SECONDS, SESSION_IDLE_SECONDS, SESSION_LIFE_SECONDS
from fsproxy.core.limits.rate import CALL_LATENESS_SECONDS, MOST_STEPS, SECOND
from fsproxy.core.run_time_lists import MOST_SECONDS
from fsproxy.state.memory.call_log import FEW_CALLS, FEW_PAGES, MARK_BITS, MOST_EQUALS
from fsproxy.state.memory.reservations import LAPSED_SECONDS, SWEPT
from fsproxy.state.memory.sessions import ADMITTED_DAYS, DAY

UNUSED_COUNT_SECONDS = 3_600
"""How long the counts of an org are kept that has used no unit: clients choose the ids of orgs."""
YOUNG_NAME_SECONDS = 2 * 3_600
"""How long the names of an org are kept that Redis has not known for long (``3_names.lua``)."""
CLOCK_SECONDS = 15 * 60
"""How long a page's clock is kept after it was last asked for."""
BLOCK_SECONDS = 15 * 60
"""How long it is kept why a page was blocked, after it was last asked for: its memory belongs to the limits."""
LIST_SECONDS = MOST_SECONDS + DAY
"""How long the lists that change at run time are kept after the last change: longer than any of their entries."""
PAGE_NAME_SECONDS = 15 * 60
"""How long the names of a page are kept after it last claimed any."""
ADMITTED_PERIOD_DAYS = 100
"""Visitors whom a share admitted are kept together by the period of their last new session: up to so much longer."""
ADMITTED_IN_SET = 500
"""Visitors in one set. Redis packs a set of at most 512 numbers (``set-max-intset-entries``), and 500 fill 4 KB."""
EPOCH_SECONDS = 7 * DAY
"""How long it is kept since when a store has what it has, after any process asked for it."""
PROBE_KEY_SECONDS = 10
"""How long the key is kept that a probe writes."""

CONSTANTS: dict[str, int] = {
    "SESSION_IDLE": SESSION_IDLE_SECONDS,
    "SESSION_LIFE": SESSION_LIFE_SECONDS,
    "RESERVED": RESERVATION_SECONDS,
    "LAPSED": LAPSED_SECONDS,
    "DAY": DAY,
    "ADMITTED_DAYS": ADMITTED_DAYS,
    "ADMITTED_PERIOD": ADMITTED_PERIOD_DAYS,
    "ADMITTED_IN_SET": ADMITTED_IN_SET,
    "UNUSED_COUNTS": UNUSED_COUNT_SECONDS,
    "YOUNG_NAMES": YOUNG_NAME_SECONDS,
    "LATENESS": CALL_LATENESS_SECONDS,
    "CLOCK_KEPT": CLOCK_SECONDS,
    "BLOCK_KEPT": BLOCK_SECONDS,
    "PAGE_NAMES_KEPT": PAGE_NAME_SECONDS,
    "PROBE_KEPT": PROBE_KEY_SECONDS,
    "EPOCH_KEPT": EPOCH_SECONDS,
    "LISTS_KEPT": LIST_SECONDS,
    "SECOND": SECOND,
    "SWEPT": SWEPT,
    "MOST_STEPS": MOST_STEPS,
    "MOST_EQUALS": MOST_EQUALS,
    "FEW_CALLS": FEW_CALLS,
    "FEW_PAGES": FEW_PAGES,
    "MARKS": 1 << MARK_BITS,
}
"""What the script and the memory form have in common. The script takes them in this order (``1_start.lua``)."""
PACKED_CONSTANTS = msgspec.msgpack.encode(list(CONSTANTS.values()))


@cache
def script() -> str:
    """Return the script's text: the Lua files of this package, in the order of their names."""
    folder = files("fsproxy.state.redis").joinpath("lua")
    parts = sorted((each for each in folder.iterdir() if each.name.endswith(".lua")), key=lambda each: each.name)
    return "\n".join(each.read_text("utf-8") for each in parts)


SHA = hashlib.sha1(script().encode("utf-8"), usedforsecurity=False).hexdigest()
"""The name by which servers know the script."""
PROBE = msgspec.msgpack.encode([[False, [["probe"]]]])
"""The request of a probe: it writes a key that lives for a few seconds."""
