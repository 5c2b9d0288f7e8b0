"""The admin port's answers about a configuration that is tried on live traffic, as types, and how they are made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, NotRequired, TypedDict

from msgspec import Meta

from fsproxy.admin.state_answers import Error, HeldBack, Merged, TrialChange, TrialSide, UnixTime, about
from fsproxy.config.problems import Problem
from fsproxy.core.trial.hints import hint
from fsproxy.core.trial.tally import MOST_KINDS, Change, Side, summed
from fsproxy.reload.holding_back import Held
from fsproxy.reload.trials import TrialState

MOST_FAULTS = 100
TRIAL_PATH = "/api/trial"
"""What the supervisor asks each worker for. Only its private port has this path."""


_For = TypedDict("_For", {"for": Annotated[float | None, about("How long it was to take, in seconds.")]})


class Try(_For, Merged):
    """What a candidate configuration would change about live traffic; null and zeros when none was tried."""

    state: Literal["none", "running", "ended"]
    name: Annotated[str | None, about("The candidate's file.")]
    since: UnixTime | None
    left: Annotated[float | None, about("Seconds that are left; null unless it runs.")]
    share: Annotated[float | None, about("The share of requests that it judges.")]
    ended_because: str | None
    restart_needed_for: Annotated[
        list[str], about("Keys that differ and that only a restart changes; it is tried with their present values.")
    ]
    pages: Annotated[int, about("Pages that both configurations have judged.")]
    changed: Annotated[int, about("Pages that would get another code.")]
    uploads: int
    uploads_changed: Annotated[int, about("Uploads that one side alone blocks, or with another code.")]
    calls: Annotated[int, about("Client API calls in uploads that both sides let pass.")]
    calls_changed: Annotated[int, about("Calls with other rejections.")]
    same_code: Annotated[int, about("Pages and uploads that another rule blocks with the same code: no change.")]
    undecidable: Annotated[int, about("Pages and uploads that the candidate could not decide.")]
    undecidable_because: dict[str, int]
    changes: Annotated[
        list[TrialChange], Meta(max_length=2 * MOST_KINDS, description="The most frequent kind of change first.")
    ]
    beyond: Annotated[int, about("Pages, uploads and calls of further kinds, which are among the changed.")]


class Fault(TypedDict):
    """One fault of a configuration."""

    text: Annotated[str, about("As check prints it.")]
    excerpt: Annotated[str, about('The line of the file, a line break, and a mark under the fault; or "".')]


class TryError(Error):
    """Why a candidate cannot be tried."""

    faults: NotRequired[Annotated[list[Fault], Meta(max_length=MOST_FAULTS)]]
    fault_count: NotRequired[int]


def try_answer(states: Sequence[TrialState]) -> Try:
    """Return one answer for the trials of all workers: it runs as long as one of them does."""
    newest = max((each.since or 0.0 for each in states), default=0.0)
    # A worker that was replaced, or that has not ended the one before, has no part in it.
    of_name = {each.name for each in states if (each.since or 0.0) == newest}
    states = [each for each in states if each.name in of_name] or [TrialState()]
    first = next((each for each in states if each.state == "running"), states[0])
    tally = summed(each.tally for each in states)
    changes = sorted(tally.changes.values(), key=lambda each: (-each.pages, -each.uploads, -each.calls))
    return {
        "state": first.state,
        "name": first.name,
        "since": first.since,
        "for": first.seconds,
        "left": first.left,
        "share": first.share,
        "ended_because": first.ended_because,
        "restart_needed_for": list(first.restart_needed_for),
        "pages": tally.pages,
        "changed": tally.changed,
        "uploads": tally.uploads,
        "uploads_changed": tally.uploads_changed,
        "calls": tally.calls,
        "calls_changed": tally.calls_changed,
        "same_code": tally.same_code,
        "undecidable": sum(tally.undecidable.values()),
        "undecidable_because": tally.undecidable,
        "changes": [_change(each, hint(each, tally.facts)) for each in changes[: 2 * MOST_KINDS]],
        "beyond": tally.beyond,
    }


def _change(change: Change, text: str) -> TrialChange:
    return {
        "pages": change.pages,
        "uploads": change.uploads,
        "calls": change.calls,
        "old": _side(change.old),
        "new": _side(change.new),
        "hint": text,
        "examples": change.examples,
    }


def _side(side: Side) -> TrialSide:
    return {"code": side.code, "rule": side.rule}


def held_back(held: Held | None) -> HeldBack | None:
    """Return the answer about a configuration that is held back."""
    if held is None:
        return None
    changes = sorted(held.tally.changes.values(), key=lambda each: -each.pages)
    return {
        "changed_share": held.changed_share,
        "pages": held.tally.pages,
        "since": held.since,
        "changes": [_change(each, hint(each, held.tally.facts)) for each in changes],
    }


def faults_answer(problems: Sequence[Problem]) -> TryError:
    """Return the answer about a candidate with faults."""
    return {
        "error": f"the configuration has {len(problems)} {'fault' if len(problems) == 1 else 'faults'}",
        "faults": [{"text": str(each), "excerpt": each.excerpt} for each in problems[:MOST_FAULTS]],
        "fault_count": len(problems),
    }
