"""What can be wrong with the configuration, and what it does on purpose, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fsproxy.core.lapses import Lapse, due
from fsproxy.core.model import Instant
from fsproxy.telemetry.conditions import Condition, Level

_MODES = {
    "shadow": (
        "the mode is shadow: nothing is blocked but by privacy rules",
        "All is decided and recorded as usual. Audit lines and /api/shadow say what would be blocked.",
    ),
    "bypass": (
        "the mode is bypass: nothing is decided but by privacy rules",
        "Everything else is forwarded, and only counted.",
    ),
}


def mode(name: str, privacy: Sequence[str], now: Instant, *, switched: bool) -> Iterator[Condition]:
    """Yield that the mode is not the usual one. ``privacy``: the privacy rules that are in force in spite of it.

    ``switched``: by the admin API, and not by the configuration.
    """
    if name in _MODES:
        text, more = _MODES[name]
        by = "the admin API" if switched else "the configuration"
        how = "POST /mode switched it; a restart takes the configuration's." if switched else "The key mode says so."
        rules = f"Privacy rules in force: {', '.join(privacy) or 'none'}."
        more = f"{more} {rules} {how}"
        yield Condition(f"mode:{name}", Level.INFO, now, text, more, fields={"mode": name, "by": by})


def not_used(errors: Sequence[str], since: Instant) -> Iterator[Condition]:
    """Yield that the newest configuration has faults. ``errors``: with their places, and without values."""
    if errors:
        yield Condition(
            id="config",
            level=Level.BAD,
            since=since,
            text=f"the new configuration is not used: {errors[0]}",
            more="The one before stays in force; a restart would fail. fsproxy check shows every fault.",
            count=len(errors),
            counted="faults",
        )


def waits_for_restart(keys: Sequence[str], now: Instant) -> Iterator[Condition]:
    """Yield that keys have changed which only a restart puts into force."""
    if keys:
        named = ", ".join(keys)
        yield Condition(
            id="config:restart",
            level=Level.WARN,
            since=now,
            text=f"a restart is needed for changes of {named}",
            more="Until then these keep their present values. fsproxy serve --take-over restarts without a gap.",
            fields={"keys": named},
        )


def lapsing(lapses: Sequence[Lapse], now: Instant) -> Iterator[Condition]:
    """Yield that domain rules have lapsed, or will within days (rules.md 7)."""
    found = tuple(due(lapses, now)) if lapses else ()
    if found:
        first = _first_of([each.text(now) for each in found])
        yield Condition(
            id="config:lapse",
            level=Level.WARN,
            since=now,
            text=f"a domain rule is over, or will be soon: {first}",
            more="Take out what is over, and give what is still meant a later until. fsproxy check lists all of them.",
            count=len(found),
            counted="rules",
        )


def old_names(warnings: Sequence[str], now: Instant) -> Iterator[Condition]:
    """Yield that the configuration has keys by names that a later version will not read."""
    if warnings:
        yield Condition(
            id="config:old-name",
            level=Level.WARN,
            since=now,
            text=f"a key has a new name: {_first_of(warnings)}",
            more="Nothing else differs: write the new name. fsproxy check lists all of them.",
            count=len(warnings),
            counted="keys",
        )


def _first_of(texts: Sequence[str]) -> str:
    """Return the first text, and how many more there are."""
    return texts[0] if len(texts) == 1 else f"{texts[0]}, and {len(texts) - 1} more"


def slowly_watched(now: Instant) -> Condition:
    """Return that changes of the files are noticed late."""
    return Condition(
        id="config:watch",
        level=Level.INFO,
        since=now,
        text="changes of the configuration are found by a slow look at it alone",
        more="The system gives no watch on its folders. SIGHUP and POST /reload load it at once.",
    )
