"""The numbers of the reference: limits, bounds, lifetimes, the rules of client API calls, and the answers on sockets."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from fsproxy.admin.answers import MOST_DECISIONS as MOST_ANSWERED
from fsproxy.admin.api import MOST_STREAMS
from fsproxy.admin.lists.answers import MOST_CHANGED, MOST_SHOWN
from fsproxy.admin.state_answers import MOST_ORGS
from fsproxy.config import files as config_files
from fsproxy.config.loader import load_text
from fsproxy.config.yaml import tree
from fsproxy.core.audit.line import LONGEST_AGENT, LONGEST_PATH
from fsproxy.core.audit.privacy import LONGEST_NAME
from fsproxy.core.client_api.calls import MAX_LEAVES
from fsproxy.core.client_api.outcome import _STATUS
from fsproxy.core.filters.user_agent import LOOKED_AT
from fsproxy.core.limits import operations
from fsproxy.core.limits.page_clock import MOST_MOVED_SECONDS
from fsproxy.core.limits.profiles import CURRENT
from fsproxy.core.limits.rate import CALL_LATENESS_SECONDS
from fsproxy.core.model import FilterName, PropertyType
from fsproxy.core.reasons import RejectionCode
from fsproxy.core.run_time_lists import MOST_ENTRIES, MOST_SECONDS
from fsproxy.core.settings import ClientApiSettings, Profile, Window
from fsproxy.core.wire.client_address import MOST_HOPS
from fsproxy.core.wire.facts import LONGEST_ID
from fsproxy.core.wire.page import LONGEST_AMBIGUOUS, LONGEST_ANSWER
from fsproxy.core.wire.sockets.websocket import CloseCode
from fsproxy.http.aiohttp_parts import MAX_PIPELINED
from fsproxy.http.head_limit import MOST_EXCESS
from fsproxy.http.response_writer import MOST_DROPPED
from fsproxy.http.server import HARD_LIMIT
from fsproxy.http.upstream.connection import MAX_HEAD
from fsproxy.http.upstream.unattended import SHARE
from fsproxy.proxy.bodies import OPENING_BYTES
from fsproxy.proxy.decoding import MAX_MEMBERS, ON_LOOP_COMPRESSED
from fsproxy.proxy.forward import PAGE_ANSWER_COPY
from fsproxy.proxy.sockets.answering_tunnel import GRACE, SILENCE
from fsproxy.proxy.sockets.reading import ON_LOOP as FRAME_ON_LOOP
from fsproxy.proxy.sockets.unanswered import MOST_PAGES, MOST_UPLOADS
from fsproxy.proxy.upload import ON_LOOP as UPLOAD_ON_LOOP
from fsproxy.state import repeats, stores
from fsproxy.state.memory import blocked_pages, page_clocks
from fsproxy.state.memory.ledger import Bounds
from fsproxy.state.memory.recent_names import MOST_NAMES
from fsproxy.state.memory.sessions import ADMITTED_DAYS
from fsproxy.state.redis import script, store_memory, write_limits
from fsproxy.state.redis.connections.breaker import PROBE_SECONDS
from fsproxy.state.redis.write_limits import ID_WRITES, PAGE_NAME_WRITES
from fsproxy.telemetry.audit_log import BUFFER_BYTES
from fsproxy.telemetry.metrics import MOST_RULES
from fsproxy.telemetry.orgs import MOST_MINUTES
from fsproxy.telemetry.orgs import MOST_ORGS as MOST_COUNTED_ORGS
from fsproxy.telemetry.ring import KEPT_HOURS, MOST_DECISIONS, MOST_FORWARDED, MOST_GROUPS
from support.documents import assert_written, rows, table, text_of, ticked


def size(count: int) -> str:
    """``64 KB``."""
    return f"{count >> 20} MB" if count % (1 << 20) == 0 else f"{count >> 10} KB"


LIMITS = [
    ("requests of a client's connection that wait for their turn (pipelined)", str(MAX_PIPELINED)),
    ("of a head over `server.max_header`, what is read to answer it", f"{MOST_EXCESS} times the limit"),
    ("connections over which new ones are dropped", f"{HARD_LIMIT} times `server.max_connections`"),
    ("of `X-Forwarded-For`, the hops that are looked at", f"the last {MOST_HOPS}"),
    ("of a User-Agent, what filters look at", f"{LOOKED_AT:,} bytes"),
    ("an id (org, session, page, user, uid) that is longer counts as missing", f"{LONGEST_ID} characters"),
    ("a page with names in other letters, which is read in two ways", size(LONGEST_AMBIGUOUS)),
    ("members of a gzip body", str(MAX_MEMBERS)),
    ("properties of a call that are judged", f"{MAX_LEAVES:,}"),
    ("of an upload that is streamed, what comes before a connection to the upstream is taken", size(OPENING_BYTES)),
    ("of a page's answer, what is copied to learn from", f"{size(PAGE_ANSWER_COPY)}, {size(LONGEST_ANSWER)} decompressed"),
    ("the head of an upstream's answer", size(MAX_HEAD)),
    ("requests whose client has left", f"1/{SHARE} of `upstream.max_connections`"),
    ("of an answer for which no client waits, what is read", size(MOST_DROPPED)),
    ("frames of a socket that wait for their answer", f"{MOST_PAGES} pages, {MOST_UPLOADS} others"),
    ("work that is left to a thread: calls, frames, gzip", f"over {size(UPLOAD_ON_LOOP)}, {size(FRAME_ON_LOOP)}, {size(ON_LOOP_COMPRESSED)}"),
    ("audit lines that wait to be written", size(BUFFER_BYTES)),
    ("in an audit line: User-Agent, path, names", f"{LONGEST_AGENT}, {LONGEST_PATH}, {LONGEST_NAME} characters"),
    ("decisions that a process remembers for its page and API", f"{MOST_DECISIONS:,}, and {MOST_FORWARDED} that were only forwarded"),
    ("decisions of one answer", str(MOST_ANSWERED)),
    ("minutes of traffic that a process remembers", f"{MOST_MINUTES:,}"),
    ("orgs whose traffic, sessions and bytes are counted apart", str(MOST_COUNTED_ORGS)),
    ("rules whose hits are counted apart", str(MOST_RULES)),
    ("kinds of rejections and of shadow hits that it remembers", f"{MOST_GROUPS:,} of each, for {KEPT_HOURS} hours"),
    ("orgs of an answer about usage, and the names of each kind that are listed", f"{MOST_ORGS}, {MOST_NAMES}"),
    ("streams of events on the admin port", str(MOST_STREAMS)),
    ("a configuration file, a list file", f"{size(config_files.MOST_BYTES)}, {size(config_files.MOST_LIST_BYTES)}"),
]  # fmt: skip


def test_the_fixed_limits_are_listed() -> None:
    assert_written("reference/limits.md", "limits", "\n" + table(("what", "limit"), LIMITS) + "\n")


def test_the_bounds_of_a_configuration_are_those_of_the_loader() -> None:
    text = " ".join(text_of("reference/configuration.md").split())
    assert f"{size(config_files.MOST_BYTES)}, {tree.MOST_VALUES:,} lines and commas" in text
    assert f"{size(config_files.MOST_LIST_BYTES)} and a million lines" in text
    assert config_files.MOST_LINES == 1_000_000
    assert f"aliases may repeat {tree.MOST_BY_ALIAS:,} values" in text


# -- client API calls

SETTINGS = ClientApiSettings()


def in_words(windows: tuple[Window, ...], between: str = " and ") -> str:
    units = {1.0: "s", 60.0: "min"}
    return between.join(f"{each.limit}/{units[each.seconds]}{' per page' if each.per_page else ''}" for each in windows)


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        ("payload of one call", f"{SETTINGS.max_payload:,} bytes; `max_payload`"),
        ("calls of one body", f"{SETTINGS.max_calls:,} (`max_calls`)"),
        ("properties", f"the first {MAX_LEAVES:,} of a call"),
        ("event name", f"1 to {SETTINGS.event_name_length} characters (`event_name.max_length`)"),
        ("its length", f"{SETTINGS.property_name_length} characters"),
        ("its size", f"{SETTINGS.value_size:,} bytes (`property_value.max_size`)"),
        ("names, per org", f"{SETTINGS.cardinality.user_properties} user properties"),
        ("names, per org", f"{SETTINGS.cardinality.event_names:,} event names"),
        ("names, per org", f"{SETTINGS.cardinality.event_properties:,} event properties"),
        ("rate, per session", f"events {in_words(SETTINGS.rate.event)}"),
        ("rate, per session", f"user calls {in_words(SETTINGS.rate.user)}"),
    ],
)
def test_a_rule_of_calls_has_its_default(rule: str, wanted: str) -> None:
    said = {row[0]: row[1] for row in rows(text_of("reference/client-api.md"), "## Rules")}
    assert wanted in said[rule]


def test_the_numbers_of_both_profiles_are_those_of_the_program() -> None:
    said = {
        key: row[1:3]
        for row in rows(text_of("reference/client-api.md"), "## Whose numbers")
        for key in ticked(row[0])[-1:]
    }
    wanted: dict[str, list[str]] = {}
    for profile in Profile:
        config = load_text(f"upstream: {{url: http://u}}\nclient_api: {{limits: {profile}}}", "f.yaml", {}, Path())
        api = config.core.default.client_api
        names = api.cardinality
        for key, value in {
            "rate.event": in_words(api.rate.event, ", "),
            "rate.user": in_words(api.rate.user, ", "),
            "rate.page": in_words(api.rate.page, ", "),
            "cardinality.page_properties_per_page": names.page_properties_per_page,
            "cardinality.page_properties": names.page_properties,
            "cardinality.page_names": names.page_names,
            "property_name.allow_hyphen": "yes" if api.allow_hyphen else "no",
        }.items():
            number = f"{value:,}" if isinstance(value, int) else value or "no limit"
            wanted.setdefault(key, []).append(number)
    assert {key: [each.partition(", `")[0] for each in found] for key, found in said.items()} == wanted
    assert {f"{section}.{name}" for section, keys in CURRENT.items() for name in keys} == set(said)


def test_the_codes_types_and_reserved_names_of_calls_are_all_there_are() -> None:
    text = text_of("reference/client-api.md")
    codes = {each for row in rows(text, "## Rules") for each in re.findall(r"`([A-Z]\w+)`", row[2])}
    assert codes == {each.value for each in RejectionCode}
    assert set(re.findall(r"`(\w+)`", text.partition("The list is closed: ")[2].partition(". A property")[0])) == codes
    shown = rows("\n| suffix" + text.partition("\n| suffix")[2])
    assert [each for row in shown for each in ticked(row[0])] == [each.value for each in PropertyType]
    reserved = " ".join(text.partition("Reserved, in user calls")[2].split())
    for name, longest in SETTINGS.reserved.items():
        assert f"`{name}` {longest}" in reserved


def test_the_statuses_of_rejections_are_those_of_the_program() -> None:
    text = text_of("reference/client-api.md")
    direct = next(row[1] for row in rows(text, "## What a rejection does") if row[0].startswith("direct"))
    assert {int(status): ticked(code) for status, code in re.findall(r"(\d{3}) for (`\w+`)", direct)} == {
        status: [code.value] for code, status in _STATUS.items()
    }
    assert direct.startswith("400;")


# -- state


def test_the_bounds_of_memory_are_those_of_the_program() -> None:
    bounds = Bounds()
    said = dict[str, str]()
    shown = text_of("reference/state.md").partition("\n| bounded in memory")[2]
    for row in rows("| bounded in memory" + shown):
        said[row[0]] = row[1]

    def bound(kind: Any) -> int:
        return int(inspect.signature(kind).parameters["bound"].default)

    assert said == {
        "ids of sessions and users": f"{bounds.ids:,}",
        "uids of these": f"{bounds.uids:,}",
        "names, over all orgs": f"{bounds.names:,}",
        "sessions and pages with rates": f"{bounds.rates:,}",
        "pages with counted names": f"{bounds.page_names:,}",
        "pages' clocks": f"{bound(page_clocks.PageClocks):,}",
        "blocked pages": f"{blocked_pages.BLOCKED_PAGES:,}",
        "repeats": f"{repeats.REPEATS:,}",
        "users on each list at run time / networks": f"{MOST_ENTRIES[USERS]:,} / {MOST_ENTRIES[FilterName.IP]:,}",
        "visitors let in by ramping / reservations / orgs": f"{bounds.admitted:,} / {bounds.reservations:,} / {bounds.orgs:,}",
    }


def test_the_rates_of_writing_to_redis_are_those_of_the_program() -> None:
    shown = text_of("reference/state.md").partition("\n| what a client causes")[2]
    said = {row[0]: row[2] for row in rows("| what a client causes" + shown)}
    for what, (org, every) in {
        "blocked page": stores.PAGE_WRITES,
        "verdict of a call, for its repeats": stores.REPEAT_WRITES,
        "page's clock": stores.CLOCK_WRITES,
        "page whose names are counted": PAGE_NAME_WRITES,
        "mark of a session and a user whose ids the process does not know": ID_WRITES,
    }.items():
        assert re.match(rf"{org} / {every} ", said[what]), what
    names = f"{write_limits.NEW_NAMES_BURST:,} at once, then {write_limits.NEW_NAMES_PER_SECOND} a second"
    assert said["new name"].startswith(names)


USERS = FilterName.DELETING_USER
MINUTE, HOUR, DAY = 60, 3600, 86_400


def test_how_long_what_is_remembered_is_what_the_program_keeps() -> None:
    said = {
        row[0]: row[3]
        for row in rows(
            text_of("reference/state.md"), "makes any number of instances on any machines judge as one, exactly."
        )
    }
    idle, life = operations.SESSION_IDLE_SECONDS // MINUTE, operations.SESSION_LIFE_SECONDS // HOUR
    in_redis = f"in Redis {script.BLOCK_SECONDS // MINUTE} minutes after the last use"
    assert said == {
        "sessions under way": f"{idle} minutes idle, {life} hours",
        "which uid a session has, as a digest": "as long as the session",
        "quota counts": "the cycle",
        "visitors let in by ramping": (
            f"{ADMITTED_DAYS} days from the last new session, in Redis up to "
            f"{ADMITTED_DAYS + script.ADMITTED_PERIOD_DAYS}"
        ),
        "names (last seen to the second)": "`cardinality.retention`; in Redis less while an org is new",
        "reservations": f"{operations.RESERVATION_SECONDS} s",
        "rate windows": f"the longest window and {CALL_LATENESS_SECONDS // MINUTE} minutes",
        "which names a page has set, where they are limited": f"{life} hours; {in_redis}",
        "pages' clocks": f"24 hours; {in_redis}",
        "blocked pages": f"{blocked_pages.BLOCKED_PAGE_SECONDS // HOUR} hours; {in_redis}",
        "lists at run time, uids as digests": (f"until an entry's end, at most {MOST_SECONDS // DAY} days"),
        "verdicts of repeats": f"{repeats.REPEAT_SECONDS // MINUTE} minutes",
    }
    assert script.CLOCK_SECONDS == script.BLOCK_SECONDS == script.PAGE_NAME_SECONDS


@pytest.mark.parametrize(
    ("page", "wanted"),
    [
        ("reference/admin.md", f"`add` and `remove` take up to {MOST_CHANGED:,} entries each"),
        ("reference/admin.md", f"from `1s` to `{MOST_SECONDS // DAY}d`"),
        ("reference/admin.md", f"shows the {MOST_SHOWN:,} entries that end first"),
        ("reference/admin.md", f"uids | {MOST_ENTRIES[USERS]:,} |"),
        ("reference/admin.md", f"`2001:db8::/32`) | {MOST_ENTRIES[FilterName.IP]:,} |"),
        ("reference/state.md", f"asked every {store_memory.EVERY_SECONDS:.0f} s"),
        ("reference/state.md", f"From {store_memory.WARN_SHARE:.0%} on".replace("%", " %")),
        ("reference/state.md", f"from {store_memory.FULL_SHARE:.0%} on".replace("%", " %")),
        ("reference/state.md", {1.0: "a probe each second"}[PROBE_SECONDS]),
        ("reference/sessions.md", f"after {operations.SESSION_IDLE_SECONDS // MINUTE} minutes without activity, or {operations.SESSION_LIFE_SECONDS // HOUR} hours"),
        ("reference/sessions.md", f"or after {operations.RESERVATION_SECONDS} seconds"),
        ("reference/sessions.md", f"({ADMITTED_DAYS} days from its last new session)"),
        ("reference/sessions.md", f"up to {size(PAGE_ANSWER_COPY)} of it are copied"),
        ("reference/client-api.md", f"by {MOST_MOVED_SECONDS // MINUTE} minutes at most"),
        ("reference/sockets.md", f"{GRACE:.0f} s after another answer"),
        ("reference/sockets.md", f"one that says nothing is closed after {SILENCE:.0f} s"),
        ("reference/filters.md", f"only the first {LOOKED_AT:,} bytes are looked at"),
        ("reference/filters.md", f"over {LONGEST_ID} characters count as missing"),
        ("reference/audit.md", f"a buffer of {size(BUFFER_BYTES)}"),
    ],
)  # fmt: skip
def test_a_number_in_the_text_is_the_programs(page: str, wanted: str) -> None:
    assert wanted in " ".join(text_of(page).split())


def test_the_codes_that_close_a_socket_are_all_there_are() -> None:
    said = set(re.findall(r"\b(10\d\d)\b", text_of("reference/sockets.md")))
    assert said == {str(each.value) for each in CloseCode}
