"""Operations as the lists that the script takes (``lua``), and the script's answers as the contract has them.

The keys carry a version. No id of a visitor leaves the process (rules.md 6): digests stand for sessions, users and
pages, as in memory, and for names that are long or that UTF-8 cannot hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from hashlib import blake2b
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
    Recall,
    Recalled,
    Release,
    Spend,
    Spent,
)
from fsproxy.core.limits.page_clock import MOST_MOVED_SECONDS
from fsproxy.core.limits.rate import by_log, microseconds
from fsproxy.core.model import FilterName, Hit, Rule
from fsproxy.core.name_digest import LONGEST_NAME, name_digest
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.settings import Window
from fsproxy.state.memory.keys import PAGE_RATE_KEYS, RATE_KEYS, KeyKind, key_of, page_mark

KEY_VERSION = 1
"""Part of every key. A version that lays its keys out otherwise counts it up, and reads the previous one's."""

_PLAIN_ORG = re.compile(r"[A-Za-z0-9_.:-]{1,48}", re.ASCII)
_NO_NAMES: frozenset[str] = frozenset()


def org_base(prefix: str, org: str) -> str:
    """Return what all keys of an org begin with."""
    return f"{prefix}{KEY_VERSION}:{org_tag(org)}:"


def org_tag(org: str) -> str:
    """Return the part of an org's keys that puts them into one slot of a Cluster.

    A client chooses the org's id: a digest stands for one that is long or holds anything but letters, digits and
    ``_.:-``, and a ``~`` tells it from an id.
    """
    if not _PLAIN_ORG.fullmatch(org):
        org = "~" + blake2b(org.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return f"{{{org}}}"


def id_of(kind: KeyKind, org: str, identifier: str) -> str:
    """Return the rest of an id's key, such as ``s:0a1b...``."""
    return f"{kind.value}:{_digest(kind, org, identifier)}"


def kept_name(name: str) -> str:
    """Return a name as it is kept: itself, or the digest of one that is long or no text (cmsgpack has no bytes)."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return name_digest(name)
    return name if len(name) <= LONGEST_NAME else name_digest(name)


def to_wire(operation: Operation, skew: float) -> list[Any]:
    """Return an operation as the script takes it. ``skew``: how far the server's clock is ahead of ours, in seconds."""
    match operation:
        case Admit():
            return _admit(operation, skew)
        case Confirm(org=org, users=users):
            ids = _ids(KeyKind.SESSION, org, operation.sessions), _ids(KeyKind.USER, org, users)
            visitors = [_digest(KeyKind.ADMITTED, org, each) for each in operation.visitors]
            return ["confirm", operation.token, *ids, operation.new, visitors, _uid(operation.uid)]
        case Release():
            return ["release", operation.token]
        case Mark():
            return ["mark", _own_ids(operation), _uid(operation.uid)]
        case Recall():
            return ["recall", _own_ids(operation)]
        case Claim():
            return _claim(operation)
        case Spend():
            return _spend(operation, skew)
        case Move(org=org):
            keys = [id_of(kind, org, operation.session) for kind in RATE_KEYS.values()]
            keys += [id_of(kind, org, operation.page) for kind in PAGE_RATE_KEYS.values()]
            return ["move", keys, _digest(KeyKind.PAGE, org, operation.page), microseconds(operation.began + skew)]


def _claim(operation: Claim) -> list[Any]:
    names = [kept_name(each) for each in operation.names]
    wire = ["claim", operation.kind.value, names, operation.limit, operation.retention]
    if not operation.page:
        return wire
    page = _digest(KeyKind.PAGE, operation.org, operation.page)
    return [*wire, page, operation.page_limit, [page_mark(each) for each in names]]


def _spend(operation: Spend, skew: float) -> list[Any]:
    org = operation.org
    page = _digest(KeyKind.PAGE, org, operation.page) if operation.page else ""
    at, when = microseconds(operation.at + skew), microseconds(operation.when / 1000)
    of_session, of_page = by_log(operation)
    logs = []
    if of_session or not of_page:
        logs += [id_of(RATE_KEYS[operation.kind], org, operation.session), _windows(of_session)]
    if of_page:
        logs += [id_of(PAGE_RATE_KEYS[operation.kind], org, operation.of_page), _windows(of_page)]
    return ["spend", at, page, when, operation.mark, *logs]


def _windows(windows: Iterable[Window]) -> list[list[int]]:
    return [[each.limit, microseconds(each.seconds)] for each in windows]


def look_to_wire(operation: Operation, skew: float) -> list[Any]:
    """Return the question that ``operation`` is answered by without being carried out."""
    name, *rest = to_wire(operation, skew)
    if isinstance(operation, Admit):
        _, identifier, visitor, _, cycle, limit, _, _, share_visitor, _ = rest
        return ["look_admit", identifier, visitor, cycle, limit, share_visitor]
    return [name if isinstance(operation, Recall) else f"look_{name}", *rest]


def clock_to_wire(org: str, page: str, first: float, latest: float, skew: float) -> list[Any]:
    """Return the question for a page's clock; see ``PageClocks.fix``."""
    return ["clock", _digest(KeyKind.PAGE, org, page), first + skew, latest + skew, MOST_MOVED_SECONDS]


def block_to_wire(org: str, page: str, hit: Hit) -> list[Any]:
    """Return the operation that keeps why a page was blocked: code, filter and rule's id."""
    return ["block", _digest(KeyKind.PAGE, org, page), f"{int(hit.code)} {hit.filter.value} {hit.rule.id}"]


def blocked_to_wire(org: str, page: str) -> list[Any]:
    """Return the question why a page was blocked, which also keeps a known answer for longer."""
    return ["blocked", _digest(KeyKind.PAGE, org, page)]


def hit_from(answer: Any) -> Hit | None:
    """Return why a page was blocked; None: it was not, or a newer version wrote what this one does not know."""
    code, _, rest = str(answer or "").partition(" ")
    name, _, rule = rest.partition(" ")
    try:
        return Hit(FilterName(name), ReasonCode(int(code)), Rule(rule))
    except ValueError:
        return None


def _ids(kind: KeyKind, org: str, identifiers: Iterable[str]) -> list[str]:
    return [id_of(kind, org, each) for each in identifiers if each]


def _own_ids(operation: Admit | Mark | Recall) -> list[str]:
    """Return the ids of the operation's session and user, without those that it does not name."""
    org = operation.org
    return _ids(KeyKind.SESSION, org, (operation.session,)) + _ids(KeyKind.USER, org, (operation.user,))


def from_wire(operation: Operation, answer: Any) -> Answer:
    """Return the script's answer as the contract has it. Raises TypeError or ValueError for what is none."""
    match operation:
        case Admit():
            state, passes, over, used, _, shared = answer
            return Admitted(state != 0, passes, over, used, held=state != 1, share_admitted=shared)
        case Claim(names=names):
            known, _, *places = answer
            refused = [names[place] for place in places if place >= 0]
            return Claimed(frozenset(refused) if refused else _NO_NAMES, known)
        case Recall():
            return Recalled(tuple(dict.fromkeys(uid_from(each) for each in answer if each)))
        case Spend():
            passed, wait, remaining = answer
            return Spent(passed=passed, retry_after=float(wait), remaining=remaining)
        case _:
            return None


def uid_from(text: str) -> int:
    """Return the digest of a uid from the script's answer; 0 for none."""
    return int(text, 16) if text else 0


def _uid(digest: int) -> str:
    # Lua's numbers hold 53 bits.
    return f"{digest:015x}" if digest else ""


def new_names(claim: Claim, answer: Any) -> list[str]:
    """Return the names that were new, from the script's answer to a claim: -1 is the first name, -2 the second."""
    return [claim.names[-1 - place] for place in answer[2:] if place < 0]


def _admit(operation: Admit, skew: float) -> list[Any]:
    org, user, quota = operation.org, operation.ramped_user, operation.quota
    terms: Sequence[Any] = ("", 0, 0, False)
    if quota is not None:
        terms = (quota.cycle, quota.limit, quota.ends + skew, quota.enforced)
    visitor, share = [_digest(KeyKind.ADMITTED, org, each) if each else "" for each in (user, operation.share_user)]
    # The session's id, or else the user's.
    identifier = next(iter(_own_ids(operation)), "")
    return ["admit", operation.token, identifier, visitor, operation.ramped_out, *terms, share, operation.shared_out]


def _digest(kind: KeyKind, org: str, identifier: str) -> str:
    return f"{key_of(kind, org, identifier):015x}"
