"""The admin port's answers about the program's state: one table of types (hence its length).

The OpenAPI document is made of them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from msgspec import Meta

from fsproxy.config.schema import ModeSwitch, TopMode
from fsproxy.core.limits.operations import NameKind
from fsproxy.core.trial.tally import MOST_EXAMPLES
from fsproxy.state.memory.recent_names import LONGEST_NAME, MOST_NAMES

MOST_ORGS = 100
"""Orgs of one answer about usage. Clients choose the ids of orgs that are not listed."""


def about(text: str) -> Meta:
    """Return a field's description for the OpenAPI document."""
    return Meta(description=text)


UnixTime = Annotated[float, about("Unix time in seconds.")]


class Error(TypedDict):
    """Why there is no answer."""

    error: str


class WorkersAnswered(TypedDict):
    """With workers above 1: how many of them this answer is about."""

    configured: int
    answered: int
    generations: NotRequired[
        Annotated[dict[str, int], about("In /api/config: each worker's generation, by the worker's number.")]
    ]


class Merged(TypedDict):
    """What each answer about several workers has beside its own fields."""

    workers: NotRequired[WorkersAnswered]


class ModeChoice(TypedDict):
    """The mode in force, or the one that is wanted."""

    mode: TopMode
    privacy: NotRequired[
        Annotated[Literal["on", "off"], about("Of bypass: off ends the privacy rules too. They stay on without it.")]
    ]


def mode_choice(switch: ModeSwitch) -> ModeChoice:
    """Return a switch as it is sent and answered."""
    return {"mode": switch.mode} if switch.privacy else {"mode": switch.mode, "privacy": "off"}


class Instance(TypedDict):
    """The program that is to drain."""

    instance: Annotated[str, about("As /readyz names it.")]


class Draining(TypedDict):
    """The program drains."""

    status: Literal["draining"]


class Reload(TypedDict):
    """When the configuration in force was loaded, and what is wrong with the newest one."""

    loaded: UnixTime
    errors: Annotated[list[str], Meta(max_length=100)]
    error_count: int
    restart_needed_for: Annotated[list[str], about("Changed keys that only a restart puts into force.")]


class Load(TypedDict):
    """A configuration came into force."""

    at: UnixTime
    generation: int


class TrialSide(TypedDict):
    """What became of a page, an upload or a call under one of the two configurations."""

    code: Annotated[
        int | str | None,
        about("A reason code; of a call, why it is rejected; null: captured, forwarded, accepted."),
    ]
    rule: Annotated[str, about('The id of the rule; of a rejected call, its kind, name and property; or "".')]


class TrialChange(TypedDict):
    """One kind of change."""

    pages: int
    uploads: Annotated[int, about("Bundles, events, frames, direct and server calls.")]
    calls: int
    old: TrialSide
    new: TrialSide
    hint: Annotated[str, about('What its pages and uploads have in common that not all traffic has; "" for nothing.')]
    examples: Annotated[list[str], Meta(max_length=MOST_EXAMPLES, description="Request ids.")]


class HeldBack(TypedDict):
    """A configuration that is not loaded, because it would change too many pages (``reload.max_change``)."""

    changed_share: Annotated[float, about("The share of the last ten minutes' pages that would get another code.")]
    pages: Annotated[int, about("Pages that were judged with it: a sample of the last ten minutes.")]
    since: UnixTime
    changes: Annotated[list[TrialChange], about("As in /api/try; the most frequent first.")]


class ReloadWish(TypedDict):
    """How to load the configuration."""

    force: NotRequired[Annotated[bool, about("Load it also if it is held back.")]]


class ReloadOutcome(Reload):
    """What became of a reload: with errors, the configuration before stays in force."""

    generation: int
    held_back: Annotated[HeldBack | None, about("Of several workers, the first that holds it back.")]
    workers: NotRequired[
        Annotated[
            dict[str, int | None],
            about("With workers above 1: each worker's generation, by its number; null without an answer."),
        ]
    ]


class State(TypedDict):
    """Whether the program is ready, and in what state it is."""

    status: Literal["starting", "ready", "draining"]
    waiting_for: NotRequired[Annotated[list[str], about("While it starts: what it waits for, in words.")]]
    mode: NotRequired[Annotated[TopMode, about("This and what follows up to store: known once the state is loaded.")]]
    privacy: NotRequired[Annotated[list[str], about("The privacy rules in force: opt_out, deleting_user, redact.")]]
    generation: NotRequired[int]
    warnings: NotRequired[list[str]]
    upstream: NotRequired[dict[str, Any]]
    store: NotRequired[dict[str, Any]]
    config: Reload
    instance: Annotated[str, about("The name that POST /drain takes.")]
    passage: Annotated[str, about("The name in CDN-Loop.")]
    workers: NotRequired[
        Annotated[
            dict[str, dict[str, Any]],
            about("With workers above 1: the state of each, by its number."),
        ]
    ]


class Forecast(TypedDict):
    """What becomes of a quota at the pace of its cycle so far."""

    used_up_at: Annotated[float | None, about("Unix time; null: not within this cycle.")]
    at_end: Annotated[int, about("Sessions at the end of the cycle, if nothing blocks them.")]


class QuotaUsage(TypedDict):
    """How much of its quota an org has used."""

    used: Annotated[int | None, about("null: not known, because the store is down.")]
    limit: int
    mode: str
    cycle: str
    ends: UnixTime
    forecast: Annotated[Forecast | None, about("null: less than an hour of the cycle is known.")]


class UpstreamBytes(TypedDict):
    """Bytes of bodies."""

    up: Annotated[int, about("That went to the upstream, as they came from clients.")]
    down: Annotated[int, about("Of the upstream's answers.")]


class NameAt(TypedDict):
    """A name, and when it was new or refused."""

    name: Annotated[str, about(f"Cut after {LONGEST_NAME} characters.")]
    at: UnixTime


class NamesUsage(TypedDict):
    """How many names of one kind an org uses."""

    known: Annotated[int | None, about("Names in use; null: not known, because the store is down.")]
    limit: int
    mode: str
    newest: Annotated[
        list[NameAt],
        Meta(max_length=MOST_NAMES, description="New names, the newest first, since the start of the process."),
    ]
    refused: Annotated[
        list[NameAt],
        Meta(max_length=MOST_NAMES, description="Names without room, the last refused first, since the start."),
    ]


class LearnedPlan(TypedDict):
    """A plan of names."""

    plan: Annotated[str, about('The YAML that plan.file may name, as fsproxy plan learn writes it; "" without names.')]


class OrgUsage(TypedDict):
    """How much of its quota and of its limits on names an org has used."""

    org: str
    quota: QuotaUsage | None
    sessions: Annotated[int | None, about("New sessions that are captured; null: counted with (others).")]
    upstream_bytes: Annotated[UpstreamBytes | None, about("null: counted with (others).")]
    names: Annotated[dict[str, NamesUsage], about(f"By kind: {', '.join(kind.value for kind in NameKind)}.")]


class UsageReport(Merged):
    """How much of their quotas and limits the orgs have used."""

    known: Annotated[bool, about("False: the store that counts is down, and what is used is null.")]
    since: Annotated[float, about("Unix time: sessions and bytes are counted since then, the start of the program.")]
    orgs: Annotated[list[OrgUsage], Meta(max_length=MOST_ORGS)]


class ListSummary(Merged):
    """One list that changes at run time."""

    name: str
    mode: Annotated[str, about("The mode of its filter for orgs without one of their own: enforce, shadow, off.")]
    count: int
    first_end: Annotated[float | None, about("Unix time at which the next entry ends; null without entries.")]
    last_end: float | None
    not_kept: Annotated[str | None, about("Why a restart would forget what changed last; null: all is kept.")]


class ConfigReport(Merged):
    """The configuration in force."""

    files: Annotated[list[str], about("All files that were read: the configuration, then its lists.")]
    loads: Annotated[list[Load], about("The last times at which rules came into force, the start included.")]
    held_back: Annotated[HeldBack | None, about("POST /reload with force: true loads it.")]
    lists: Annotated[list[ListSummary], about("The lists that have entries of run time: GET /api/lists.")]

    mode: TopMode
    generation: int
    warnings: list[str]
    reload: Reload
    config: Annotated[
        dict[str, Any],
        about(
            "By section. Secrets and ids of people are hidden, lists are cut at 100 entries, and at most 100 orgs are "
            "listed, with the settings that differ from the defaults."
        ),
    ]
