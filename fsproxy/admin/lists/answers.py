"""What is posted to and answered about lists that change at run time, as types, and how they are read and made."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from fsproxy.admin.state_answers import ListSummary, Merged, UnixTime, about
from fsproxy.core.model import FilterName
from fsproxy.core.run_time_lists import MOST_ENTRIES, MOST_SECONDS, Entry, ListChange, entry_of
from fsproxy.core.units import duration

CHANGE_PATH = "/api/lists"
"""Where each worker takes changes, and shows and takes whole rows. Only its private port has this path."""
NAMES = tuple(sorted(name.value for name in MOST_ENTRIES))
MOST_SHOWN = 1000
"""Entries of one answer."""
MOST_CHANGED = 1_000
"""Entries of one request: networks hold the event loop for 10 ms."""
_FOR = f"a duration from 1s to {MOST_SECONDS // 86_400}d, such as 30d"
_Entries = Annotated[list[str], Meta(max_length=MOST_CHANGED)]


class ListWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to add to a list and what to remove: uids, or IP addresses and networks."""

    add: _Entries = []
    remove: _Entries = []
    seconds: Annotated[str | None, about(f"How long what is added stays: {_FOR}. It must be given with add.")] = (
        msgspec.field(default=None, name="for")
    )

    def __repr__(self) -> str:
        """Return nothing of the entries."""
        return f"<{type(self).__name__}>"


class ListOutcome(Merged):
    """What became of a change."""

    name: str
    mode: Annotated[str, about("The mode of its filter for orgs without one of their own: enforce, shadow, off.")]
    added: Annotated[int, about("Entries that were not in the list. The others end as this change says.")]
    removed: Annotated[int, about("Entries that were in the list.")]
    count: Annotated[int, about("Entries that are in the list now.")]
    not_kept: Annotated[str | None, about("Why a restart would forget the change; null: it is kept.")]


class ListedEntry(msgspec.Struct, frozen=True):
    """One entry."""

    entry: Annotated[str, about("The digest of a uid, or an address or network.")]
    ends: UnixTime


class ListReport(ListSummary):
    """One list that changes at run time, with its entries."""

    entries: Annotated[list[ListedEntry], Meta(max_length=MOST_SHOWN, description="Those that end first.")]


_read = msgspec.json.Decoder(ListWish).decode


def list_name(text: str) -> FilterName | None:
    """Return the list of this name; None: there is none."""
    return FilterName(text) if text in NAMES else None


def read_change(name: FilterName, body: bytes, now: float) -> ListChange:
    """Return the change that a body asks for. Raise ValueError, whose text holds no entry."""
    try:
        wish = _read(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(str(error) or "nested too deep") from None
    add, remove = _entries(name, "add", wish.add), _entries(name, "remove", wish.remove)
    if not add and not remove:
        raise ValueError('nothing is to be changed: send {"add": [...], "for": "30d"} or {"remove": [...]}')
    gone = set(remove)
    both = next((place for place, each in enumerate(add) if each in gone), None)
    if both is not None:
        raise ValueError(f"add[{both}]: is also in remove")
    return ListChange(name, add, remove, now + _seconds(wish.seconds) if add else 0.0, now)


def _entries(name: FilterName, key: str, texts: list[str]) -> tuple[Entry, ...]:
    found = []
    for place, text in enumerate(texts):
        try:
            found.append(entry_of(name, text))
        except ValueError as error:
            raise ValueError(f"{key}[{place}]: allowed is {error}") from None
    return tuple(found)


def _seconds(text: str | None) -> float:
    try:
        seconds = duration(text or "")
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds <= MOST_SECONDS:
        raise ValueError(f"for: {_FOR}")
    return seconds
