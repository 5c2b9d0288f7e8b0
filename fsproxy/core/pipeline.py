"""The way of a session from its facts to the one decision. All of its control flow is here, and all of it is pure.

``judge`` asks the filters, and leaves open what only the ledger can know: ``Decision.admit`` is what to ask it.
``settle`` decides that by the ledger's answer. ``learn`` returns what the upstream's answer means for the ledger.
"""

from __future__ import annotations

from enum import StrEnum, unique

import msgspec

from fsproxy.core.filters.base import Filter
from fsproxy.core.limits.operations import Admit, Admitted, Confirm, Mark, Operation, Recall, Release
from fsproxy.core.limits.ramping import Draw, visitor
from fsproxy.core.model import DIRECT, PAGE, FilterName, Hit, Instant, Mode, OnTrouble, Rule, SessionFacts
from fsproxy.core.policy import OrgPolicy
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.uid_digest import uid_digest


@unique
class Judgement(StrEnum):
    """What one filter found about one session, for ``explain``."""

    PASS = "pass"  # noqa: S105 - not a password
    HIT = "hit"
    SHADOW = "shadow"
    FAILED = "failed"
    NOT_REACHED = "not reached"
    ASKS_LEDGER = "asks the ledger"


class Step(msgspec.Struct, frozen=True, gc=False):
    """One line of an explanation."""

    filter: FilterName
    judgement: Judgement
    hit: Hit | None = None


class Decision(msgspec.Struct, frozen=True, gc=False):
    """What was concluded about a session: captured (``block`` is None) or blocked, and why."""

    block: Hit | None = None
    shadow: tuple[Hit, ...] = ()
    failed: tuple[FilterName, ...] = ()
    """Filters that raised an exception, which is our fault and never the visitor's."""
    new_session: bool = False
    token: str = ""
    """The reservation that ``learn`` confirms or releases; "" if the ledger was not asked."""
    held: bool = True
    """Whether ``token`` holds a reservation; a session under way needs none."""
    ledger_down: bool = False
    admit: Admit | None = None
    """What to ask the ledger, whose answer decides on a page that no filter blocks; None if this is final."""
    ramping: Hit | None = None
    """With ``admit``: the hit of ramping, unless the session is under way or the visitor was admitted before."""
    quota: Hit | None = None
    """With ``admit``: the hit if the ledger finds the quota used up."""
    share: Hit | None = None
    """With ``admit``: the hit of a domain rule's share, unless the session is under way or its visitor was admitted."""
    drawn: tuple[Draw, ...] = ()
    """The shares that have admitted a first visit."""
    admitted: tuple[Hit, ...] = ()
    """Those that the visitor of a new session passes, as one whom their shares admitted before."""


_SHADOW, _OFF = Mode.SHADOW, Mode.OFF
CAPTURE = Decision()
"""The decision for everything that is not judged."""


def judge(
    policy: OrgPolicy, facts: SessionFacts, now: Instant, token: str = "", trace: list[Step] | None = None
) -> Decision:
    """Ask every filter that applies, in order. The first enforced hit blocks.

    A shadow hit is kept and the next filter asked, so that it never hides a later enforced one. ``token`` names the
    reservation that a page may need. To ``trace`` one Step is appended for each filter.
    """
    page = facts.route is PAGE
    filters = iter(policy.on_page if page else policy.on_direct if facts.route in DIRECT else policy.on_bundle)
    shadow: tuple[Hit, ...] = ()
    failed: tuple[FilterName, ...] = ()
    block: Hit | None = None
    for each in filters:
        try:
            hit = each.judge(facts, now)
        except Exception:  # noqa: BLE001 - our fault: it is counted and audited, and on_error decides
            failed += (each.name,)
            hit = _failure(each, policy)
        if trace is not None:
            trace.append(Step(each.name, _judgement(each, hit, failed), hit))
        if hit is None:
            continue
        if each.mode is not _SHADOW:
            block = hit
            break
        shadow += (hit,)
    if trace is not None:
        trace += [Step(each.name, Judgement.NOT_REACHED) for each in filters]
    # Where nothing but privacy rules are judged, sessions matter only for their uids.
    if block is not None or not page or (policy.cap is _OFF and policy.deleting_user is None):
        return Decision(block, shadow, failed)
    return _ask_ledger(policy, facts, now, token, shadow, failed, trace)


def _failure(each: Filter, policy: OrgPolicy) -> Hit | None:
    hit = Hit(each.name, ReasonCode.UNSPECIFIED, Rule(f"{each.name}:error"))
    return hit if policy.on_error is OnTrouble.BLOCK else None


def _judgement(each: Filter, hit: Hit | None, failed: tuple[FilterName, ...]) -> Judgement:
    if each.name in failed:
        return Judgement.FAILED
    if hit is None:
        return Judgement.PASS
    return Judgement.SHADOW if each.mode is Mode.SHADOW else Judgement.HIT


def _ask_ledger(
    policy: OrgPolicy,
    facts: SessionFacts,
    now: Instant,
    token: str,
    shadow: tuple[Hit, ...],
    failed: tuple[FilterName, ...],
    trace: list[Step] | None,
) -> Decision:
    ramping = policy.ramping.judge(facts, now) if policy.ramping is not None else None
    quota, shares = policy.quota, policy.shares
    share = shares.share(facts, now) if shares is not None else None
    out = share.hit if share is not None and share.excludes(facts) else None
    if trace is not None:
        if shares is not None and share is not None:
            trace.append(Step(FilterName.DOMAIN, _judgement(shares, out, ()), out))
        if policy.ramping is not None:
            trace.append(Step(FilterName.RAMPING, _judgement(policy.ramping, ramping, ()), ramping))
        if quota is not None:
            trace.append(Step(FilterName.QUOTA, Judgement.ASKS_LEDGER, quota.hit))
    ramped_out = ramping is not None and policy.ramping is not None and policy.ramping.mode is Mode.ENFORCE
    shared_out = out is not None and shares is not None and shares.mode is Mode.ENFORCE
    share_user = visitor(out.rule.id, facts.user_id) if out is not None and facts.user_id else ""
    ramped_user = facts.user_id if ramping is not None else ""
    terms, quota_hit = (quota.terms(now), quota.hit) if quota is not None else (None, None)
    org, user = facts.org or "", facts.user_id
    admit = Admit(org, token, facts.session_id, user, ramped_out, terms, share_user, shared_out, ramped_user)
    drawn: tuple[Draw, ...] = ()
    if facts.fresh_user_id:
        # In shadow mode a page is captured whose visitor the share excludes.
        drawn = (policy.ramping.draw(now),) if policy.ramping is not None and ramping is None else ()
        drawn += (share.draw,) if share is not None and out is None else ()
    return Decision(None, shadow, failed, False, "", True, False, admit, ramping, quota_hit, out, drawn)


def settle(policy: OrgPolicy, pending: Decision, answer: Admitted | None) -> Decision:
    """Return the final decision. ``answer`` is the ledger's to ``pending.admit``; None if the ledger was down."""
    admit, shadow, failed = pending.admit, pending.shadow, pending.failed
    if admit is None:
        return pending
    if answer is None:
        return _without_ledger(policy, shadow, failed)
    if answer.under_way:
        return Decision(None, shadow, failed, False, admit.token, answer.held)
    over = pending.quota if answer.over_quota else None
    admitted: tuple[Hit, ...] = ()
    for hit, passes, blocks in (
        (pending.share, answer.share_admitted, admit.shared_out),
        (pending.ramping, answer.user_admitted, admit.ramped_out),
        (over, False, admit.quota is not None and admit.quota.enforced),
    ):
        if hit is None:
            continue
        if passes:
            admitted += (hit,)
        elif blocks:
            return Decision(hit, shadow, failed, True, admitted=admitted)
        else:
            shadow += (hit,)
    return Decision(None, shadow, failed, True, admit.token, drawn=pending.drawn, admitted=admitted)


def _without_ledger(policy: OrgPolicy, shadow: tuple[Hit, ...], failed: tuple[FilterName, ...]) -> Decision:
    if policy.state_on_error is OnTrouble.BLOCK and policy.cap is Mode.ENFORCE:
        hit = Hit(FilterName.QUOTA, ReasonCode.UNSPECIFIED, Rule("state:down"))
        return Decision(block=hit, shadow=shadow, failed=failed, ledger_down=True)
    # Only the ledger knows whether ramping may block: the visitor may have been admitted before. Capture goes on
    # (rules.md 5, ``state.on_error: allow``).
    return Decision(shadow=shadow, failed=failed, ledger_down=True)


class PageAnswer(msgspec.Struct, frozen=True, gc=False):
    """The upstream's answer to a page, as far as it matters for the limits."""

    status: int
    session: str = ""
    user: str = ""
    page: str = ""
    is_new: bool | None = None
    """``IsNewSession``; None if the answer has none."""
    reason_code: int | None = None
    """The upstream's own, if it answered 202."""


def learn(facts: SessionFacts, decision: Decision, answer: PageAnswer | None) -> tuple[Operation, ...]:
    """Return what a page's end means for the ledger; ``answer`` is None if the page failed (rules.md 1)."""
    if not decision.token:
        return ()
    org = facts.org or ""
    if answer is None or answer.status != 200:
        return (Release(org, decision.token),) if decision.held else ()
    nothing_to_keep = not decision.held and not facts.app_id  # no reservation, and no uid
    session, user = answer.session, answer.user
    if nothing_to_keep and (not session or session == facts.session_id) and (not user or user == facts.user_id):
        return ()  # all of the session's ids are known
    users = tuple(filter(None, dict.fromkeys((facts.user_id, user))))
    return (
        Confirm(
            org,
            decision.token,
            tuple(filter(None, dict.fromkeys((facts.session_id, session)))),
            users,
            decision.new_session and answer.is_new is not False,
            _remembered(decision.drawn, org, users) if decision.drawn else (),
            uid_digest(facts.app_id) if facts.app_id else 0,
            decision.held,
        ),
    )


def _remembered(drawn: tuple[Draw, ...], org: str, users: tuple[str, ...]) -> tuple[str, ...]:
    return tuple([kept for draw in drawn for user in users if (kept := draw.remembered(org, user)) is not None])


def mark(facts: SessionFacts, uid: int = 0, *, listed: bool = False) -> tuple[Operation, ...]:
    """Return what a bundle means for the ledger: its session is under way, with this uid (rules.md 1 and 10).

    ``uid`` is a digest; 0: the bundle names no user. ``listed``: the user is being deleted.
    """
    if not facts.session_id and not facts.user_id:
        return ()
    return (Mark(facts.org or "", facts.session_id, facts.user_id, uid, listed),)


def recall(policy: OrgPolicy, facts: SessionFacts) -> tuple[Operation, ...]:
    """Return what to ask about the session's uids; nothing if no user is being deleted (rules.md 10)."""
    if policy.deleting_user is None or not (facts.session_id or facts.user_id):
        return ()
    return (Recall(facts.org or "", facts.session_id, facts.user_id),)
