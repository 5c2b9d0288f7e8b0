"""What goes to Redis and what comes back: operations as lists for the script in ``lua``, and its answers.

The script's text and the keys carry a version. No id of a visitor leaves the process (rules.md 6): sessions,
users and pages go by their digests, as in memory; names that are long, or that UTF-8 cannot hold, likewise.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from hashlib import blake2b
from importlib.resources import files
from typing import Any

from fsproxy.core.limits.operations import (
    Admit,
    Admitted,
    Answer,
    Claim,
    Claimed,
    Confirm,
    Mark,
    Move,
    Operation,
    RateKind,
    Recall,
    Recalled,
    Release,
    Spend,
    Spent,
)
from fsproxy.core.limits.page_clock import MOST_MOVED_SECONDS
from fsproxy.core.limits.rate import microseconds
from fsproxy.state.memory.keys import KeyKind, key_of

KEY_VERSION = 1
"""Stands in every key. A version that lays its keys out otherwise counts it up and reads the previous one's."""

_PLAIN_ORG = re.compile(r"[A-Za-z0-9_.:-]{1,48}", re.ASCII)
_LONGEST_KEPT = 64
_NOTHING: frozenset[str] = frozenset()
_RATES = {RateKind.EVENT: KeyKind.EVENT_RATE, RateKind.USER: KeyKind.USER_RATE}


@cache
def script() -> str:
    """The script: the Lua files of this package, in the order of their names."""
    folder = files("fsproxy.state.redis").joinpath("lua")
    parts = sorted((each for each in folder.iterdir() if each.name.endswith(".lua")), key=lambda each: each.name)
    return "\n".join(each.read_text("utf-8") for each in parts)


def org_base(prefix: str, org: str) -> str:
    """What all keys of an org begin with; the braces put them into one slot.

    A client chooses the org's id: one that is long or holds anything but letters, digits and ``_.:-`` goes
    by its digest (which a ``~`` keeps apart from any that does not).
    """
    if not _PLAIN_ORG.fullmatch(org):
        org = "~" + blake2b(org.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return f"{prefix}{KEY_VERSION}:{{{org}}}:"


def id_of(kind: KeyKind, org: str, identifier: str) -> str:
    """The rest of an id's key, e.g. ``s:0a1b...``."""
    return f"{kind.value}:{key_of(kind, org, identifier):015x}"


def kept_name(name: str) -> str:
    """A name as it is kept: itself, or the digest of one that is long or no valid text (cmsgpack knows no bytes)."""
    if len(name) <= _LONGEST_KEPT:
        try:
            name.encode()
        except UnicodeEncodeError:
            pass
        else:
            return name
    return "\0" + blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def to_wire(operation: Operation, skew: float) -> list[Any]:
    """An operation as the script takes it. ``skew``: what the server's clock is ahead of ours, in seconds."""
    match operation:
        case Admit():
            return _admit(operation, skew)
        case Confirm(org=org, users=users):
            sessions = [id_of(KeyKind.SESSION, org, each) for each in operation.sessions if each]
            known = [id_of(KeyKind.USER, org, each) for each in users if each]
            visitors = [_visitor(org, each) for each in users if each] if operation.remember_user else []
            return ["confirm", operation.token, sessions, known, operation.new, visitors, _uid(operation.uid)]
        case Release():
            return ["release", operation.token]
        case Mark():
            return ["mark", own_ids(operation), _uid(operation.uid)]
        case Recall():
            return ["recall", own_ids(operation)]
        case Claim():
            names = [kept_name(each) for each in operation.names]
            return ["claim", operation.kind.value, names, operation.limit, operation.retention]
        case Spend(org=org):
            key = id_of(_RATES[operation.kind], org, operation.session)
            page = _page(org, operation.page) if operation.page else ""
            windows = [[each.limit, microseconds(each.seconds)] for each in operation.windows]
            at, when = microseconds(operation.at + skew), microseconds(operation.when / 1000)
            return ["spend", key, at, windows, page, when, operation.mark]
        case Move(org=org):
            keys = [id_of(kind, org, operation.session) for kind in _RATES.values()]
            return ["move", keys, _page(org, operation.page), microseconds(operation.began + skew)]


def clock_to_wire(org: str, page: str, first: float, latest: float, skew: float) -> list[Any]:
    """Ask for a page's clock; see ``PageClocks.fix``."""
    return ["clock", _page(org, page), first + skew, latest + skew, MOST_MOVED_SECONDS]


def own_ids(operation: Mark | Recall) -> list[str]:
    """The ids of the session and the user that it speaks of."""
    org, ids = operation.org, []
    if operation.session:
        ids.append(id_of(KeyKind.SESSION, org, operation.session))
    if operation.user:
        ids.append(id_of(KeyKind.USER, org, operation.user))
    return ids


def from_wire(operation: Operation, answer: Any) -> Answer:
    """The script's answer as the contract has it. Raises TypeError or ValueError for what is none."""
    match operation:
        case Admit():
            state, passes, over, used, _ = answer
            return Admitted(under_way=state != 0, user_admitted=passes, over_quota=over, used=used)
        case Claim(names=names):
            known, _, *places = answer
            refused = [names[place] for place in places if place >= 0]
            return Claimed(frozenset(refused) if refused else _NOTHING, known)
        case Recall():
            return Recalled(tuple(dict.fromkeys(uid_from(each) for each in answer if each)))
        case Spend():
            passed, wait, remaining = answer
            return Spent(passed=passed, retry_after=float(wait), remaining=remaining)
        case _:
            return None


def uid_from(text: str) -> int:
    """The digest of a uid as the script tells it; 0 for none."""
    return int(text, 16) if text else 0


def _uid(digest: int) -> str:
    # Lua's numbers hold 53 bits.
    return f"{digest:015x}" if digest else ""


def new_names(claim: Claim, answer: Any) -> list[str]:
    """The names that nobody had used before, in the script's answer to a claim: -1 stands for the first."""
    return [claim.names[-1 - place] for place in answer[2:] if place < 0]


def _admit(operation: Admit, skew: float) -> list[Any]:
    org, user, quota = operation.org, operation.user, operation.quota
    identifier = ""
    if operation.session:
        identifier = id_of(KeyKind.SESSION, org, operation.session)
    elif user:
        identifier = id_of(KeyKind.USER, org, user)
    terms: Sequence[Any] = ("", 0, 0, False)
    if quota is not None:
        terms = (quota.cycle, quota.limit, quota.ends + skew, quota.enforced)
    visitor = _visitor(org, user) if user else ""
    return ["admit", operation.token, identifier, visitor, operation.ramped_out, *terms]


def _page(org: str, page: str) -> str:
    # Without its letter, as in the script's keys.
    return id_of(KeyKind.PAGE, org, page).partition(":")[2]


def _visitor(org: str, user: str) -> str:
    # Without its letter: the script puts it under "a:".
    return id_of(KeyKind.ADMITTED, org, user).partition(":")[2]
