"""The Redis form: keys, time, round trips, and what it answers without asking."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import AsyncIterator

import pytest

from fsproxy.clock import now
from fsproxy.core.limits.operations import (
    Admit,
    Admitted,
    Claim,
    Claimed,
    Confirm,
    Ledger,
    LedgerDownError,
    Mark,
    NameKind,
    Operation,
    QuotaTerms,
    RateKind,
    Recall,
    Recalled,
    Release,
    Spend,
    Spent,
)
from fsproxy.core.limits.page_clock import first_clock
from fsproxy.core.model import Instant
from fsproxy.core.settings import Window
from fsproxy.state.memory.keys import KeyKind
from fsproxy.state.redis.ledger import RedisLedger
from fsproxy.state.redis.shared_clocks import SharedPageClocks
from fsproxy.state.redis.wire import clock_to_wire, id_of, org_base
from fsproxy.state.redis.write_limits import WriteRate
from support.ledgers import without_waiting
from support.valkey import ValkeyServer, server_at

LONG = 30.0
prefixes = (f"redis{n}:" for n in itertools.count())


@pytest.fixture
def prefix() -> str:
    return next(prefixes)


@pytest.fixture
async def ledger(valkey: ValkeyServer, prefix: str) -> AsyncIterator[RedisLedger]:
    made = RedisLedger(server_at(valkey.url), prefix, LONG)
    await made.start()
    yield made
    await made.close()


@pytest.fixture
async def other(valkey: ValkeyServer, prefix: str) -> AsyncIterator[RedisLedger]:
    """Another process's, as far as the ledger can tell."""
    made = RedisLedger(server_at(valkey.url), prefix, LONG)
    await made.start()
    yield made
    await made.close()


def admit(token: str, session: str, limit: int = 9, org: str = "o", *, cycle: str = "c") -> Admit:
    return Admit(org, token, session, "", False, QuotaTerms(cycle, limit, Instant(now() + 86_400), enforced=True))


def claim(*names: str, org: str = "o", limit: int = 9) -> Claim:
    return Claim(org, NameKind.EVENT_NAME, names, limit, 3_600.0)


async def ask(ledger: RedisLedger, *operations: Operation, at: float | None = None) -> tuple[object, ...]:
    return await ledger.ask(operations, Instant(now() if at is None else at), LONG)


async def settled(ledger: RedisLedger) -> None:
    """What was sent behind has been answered: answers come in order."""
    await ledger.org_usage("o")


def keys(valkey: ValkeyServer, prefix: str) -> list[str]:
    return [word for word in valkey.command("KEYS", f"{prefix}*").decode().split("\r\n") if word.startswith(prefix)]


def everything(org: str) -> tuple[Operation, ...]:
    return (
        admit("t1", "s1", org=org),
        admit("t2", "s2", org=org),
        Confirm(org, "t1", ("s1", "alias"), ("u",), new=True, visitors=("u",)),
        Mark(org, "s3", "u3"),
        claim("a", "b" * 100, org=org),
        Spend(org, "s1", RateKind.EVENT, now(), (Window(1, 1.0),)),
        Spend(org, "s1", RateKind.USER, now(), (Window(1, 1.0),)),
    )


def test_it_is_a_ledger(valkey: ValkeyServer) -> None:
    ledger: Ledger = RedisLedger(server_at(valkey.url), "x:", LONG)
    assert without_waiting(ledger, (), Instant(now())) == ()


async def test_every_key_expires_and_lies_in_the_slot_of_its_org(
    ledger: RedisLedger, valkey: ValkeyServer, prefix: str
) -> None:
    await ask(ledger, *everything("o-1ABC-na1"))
    await ledger.send("o-1ABC-na1", clock_to_wire("o-1ABC-na1", "page", 1.0, 1.0, 0.0))
    found = keys(valkey, prefix)
    assert len(found) > 15
    for key in found:
        assert key.startswith((f"{prefix}1:{{o-1ABC-na1}}:", f"{prefix}1:{{~"))
        answer = valkey.command("PTTL", key)
        assert int(answer[1:]) > 0, key


async def test_an_org_that_used_no_unit_is_soon_forgotten_and_one_that_did_is_not(
    ledger: RedisLedger, valkey: ValkeyServer, prefix: str
) -> None:
    """Clients choose the ids of orgs."""

    def kept_for() -> int:
        return int(valkey.command("TTL", f"{org_base(prefix, 'o')}q")[1:])

    await ask(ledger, admit("t1", "s", limit=0))
    assert kept_for() <= 3_600
    await ask(ledger, admit("t2", "s"))
    assert kept_for() > 86_400
    await ask(ledger, Release("o", "t2"))
    await settled(ledger)
    assert kept_for() <= 3_600


@pytest.mark.parametrize("org", ["", "}", "{x}", "a\r\nb", "\ud800", "ö", "x" * 10_000, "~a", "auth:1", "a b"])
async def test_any_org_has_keys_of_its_own_that_any_store_takes(
    ledger: RedisLedger, valkey: ValkeyServer, prefix: str, org: str
) -> None:
    await ask(ledger, *everything(org))
    assert (await ledger.org_usage(org))[0] == {"c": 2}
    for key in keys(valkey, prefix):
        assert re.fullmatch(re.escape(prefix) + r"1:\{[A-Za-z0-9_.:~-]{1,48}\}:[\w:-]+", key), key


def test_orgs_never_share_keys() -> None:
    orgs = ["", "a", "A", "~", "}", "a}", "{a}", "a" * 48, "a" * 49, "a" * 50, "\ud800", "\udfff"]
    assert len({org_base("p:", org) for org in orgs}) == len(orgs)


async def test_no_id_of_a_visitor_reaches_the_store(ledger: RedisLedger, valkey: ValkeyServer, prefix: str) -> None:
    """rules.md 6."""
    await ask(ledger, Confirm("o", "t", ("SECRET-session",), ("SECRET-user",), new=True, visitors=("SECRET-user",)))
    await settled(ledger)
    found = keys(valkey, prefix)
    assert not any("SECRET" in key for key in found)
    for key in found:
        assert b"SECRET" not in valkey.command("DUMP", key)


async def test_time_is_the_servers_whatever_callers_think(ledger: RedisLedger, other: RedisLedger) -> None:
    await ask(ledger, admit("t1", "s"), at=now() - 86_400)
    await ask(ledger, Confirm("o", "t1", ("s",), (), new=True), at=now() - 86_400)
    await settled(ledger)
    (answer,) = await ask(other, admit("t2", "s"), at=now() + 86_400)
    assert isinstance(answer, Admitted)
    assert answer.under_way


async def test_a_call_of_a_clock_that_is_ahead_was_made_now(ledger: RedisLedger, other: RedisLedger) -> None:
    one = (Window(1, 60.0),)
    (first,) = await ask(ledger, Spend("o", "s", RateKind.EVENT, Instant(now() + 9_999), one))
    (second,) = await ask(other, Spend("o", "s", RateKind.EVENT, now(), one))
    assert isinstance(first, Spent)
    assert isinstance(second, Spent)
    assert (first.passed, second.passed) == (True, False)


async def test_all_that_one_tick_asks_of_an_org_is_one_round_trip(ledger: RedisLedger) -> None:
    before = ledger.links.breakers()[0].round_trips
    answers = await asyncio.gather(*(ask(ledger, admit(f"t{n}", f"s{n}", limit=40)) for n in range(100)))
    assert ledger.links.breakers()[0].round_trips == before + 1
    assert sum(not answer.over_quota for (answer,) in answers if isinstance(answer, Admitted)) == 40


async def test_one_script_call_is_not_made_to_carry_everything(ledger: RedisLedger) -> None:
    """So that nobody else's call waits for long."""
    before = ledger.links.breakers()[0].round_trips
    await asyncio.gather(*(ask(ledger, claim(f"n{n}")) for n in range(300)))
    assert ledger.links.breakers()[0].round_trips == before + 3


async def test_a_server_that_has_forgotten_the_script_is_taught_it_again(
    ledger: RedisLedger, valkey: ValkeyServer
) -> None:
    valkey.command("SCRIPT", "FLUSH")
    answers = await asyncio.gather(*(ask(ledger, claim("a", org=f"o{n % 2}")) for n in range(6)))
    assert answers == [(Claimed(frozenset(), 1),)] * 6
    assert ledger.links.breakers()[0].failures == 0


async def test_a_key_of_someone_else_harms_only_who_needs_it(
    ledger: RedisLedger, valkey: ValkeyServer, prefix: str
) -> None:
    valkey.command("SET", f"{org_base(prefix, 'o')}n:event_name", "theirs")
    refused, fine = await asyncio.gather(ask(ledger, claim("a")), ask(ledger, admit("t", "s")), return_exceptions=True)
    assert isinstance(refused, LedgerDownError)
    assert fine == (Admitted(under_way=False, user_admitted=False, over_quota=False, used=1),)
    assert ledger.links.breakers()[0].state == "up"


async def test_a_caller_that_has_gone_takes_nobody_with_it(ledger: RedisLedger) -> None:
    gone = asyncio.ensure_future(ask(ledger, claim("a")))
    stays = asyncio.ensure_future(ask(ledger, claim("b")))
    await asyncio.sleep(0)
    gone.cancel()
    assert await stays in [(Claimed(frozenset(), 2),), (Claimed(frozenset(), 1),)]
    assert gone.cancelled()


# What is known here is not asked for.


async def test_known_names_are_not_asked_for_again_until_they_are_due(ledger: RedisLedger) -> None:
    at = Instant(now())
    assert without_waiting(ledger, (claim("a", "b"),), at) is None
    await ask(ledger, claim("a", "b"))
    assert without_waiting(ledger, (claim("b", "a"), claim("a")), at) == (
        Claimed(frozenset(), 2),
        Claimed(frozenset(), 2),
    )
    assert without_waiting(ledger, (claim("a", "c"),), at) is None
    due = Instant(at + 361)
    assert without_waiting(ledger, (claim("a"),), due) is None


async def test_refused_names_are_asked_for_every_time(ledger: RedisLedger) -> None:
    await ask(ledger, claim("a", "b", limit=1))
    assert without_waiting(ledger, (claim("b", limit=1),), Instant(now())) is None


async def test_a_question_that_is_known_in_part_asks_for_the_rest_alone(ledger: RedisLedger) -> None:
    await ask(ledger, claim("a"))
    spend = Spend("o", "s", RateKind.EVENT, now(), (Window(9, 60.0),))
    answers = await ask(ledger, claim("a"), spend, claim("b"))
    assert answers == (Claimed(frozenset(), 1), Spent(passed=True, remaining=8), Claimed(frozenset(), 2))


async def test_a_sessions_bundles_are_told_once_a_minute(ledger: RedisLedger, other: RedisLedger) -> None:
    at, mark = Instant(now()), Mark("o", "s", "u")
    before = ledger.links.breakers()[0].round_trips
    for _ in range(100):
        assert without_waiting(ledger, (mark,), at) == (None,)
    await settled(ledger)
    assert ledger.links.breakers()[0].round_trips == before + 1, "together with the question that settles"
    (answer,) = await ask(other, admit("t", "s"))
    assert isinstance(answer, Admitted)
    assert answer.under_way
    assert without_waiting(ledger, (mark,), Instant(at + 61)) == (None,)
    await settled(ledger)
    assert ledger.links.breakers()[0].round_trips == before + 2


async def test_pages_of_a_session_known_to_be_under_way_are_admitted_here(ledger: RedisLedger) -> None:
    at = Instant(now())
    await ask(ledger, admit("t1", "s"))
    assert without_waiting(ledger, (admit("t2", "s"),), at) is None, "it waits for its answer, and must be joined"
    await ask(ledger, Confirm("o", "t1", ("s",), ("u",), new=True))
    await settled(ledger)
    under_way = Admitted(under_way=True, user_admitted=False, over_quota=False, used=1, held=False)
    assert without_waiting(ledger, (admit("t3", "s"),), at) == (under_way,)
    before = ledger.links.breakers()[0].round_trips
    assert without_waiting(ledger, (Confirm("o", "t3", ("s",), ("u",), new=False, held=False),), at) == (None,)
    assert without_waiting(ledger, (admit("t4", "s"),), at) == (under_way,)
    await settled(ledger)
    assert ledger.links.breakers()[0].round_trips == before + 1, "the question that settles"
    assert without_waiting(ledger, (admit("t5", "s"),), Instant(at + 61)) is None


async def test_an_answer_with_ids_that_are_new_here_is_told(ledger: RedisLedger, other: RedisLedger) -> None:
    at = Instant(now())
    await ask(ledger, admit("t1", "s"), Confirm("o", "t1", ("s",), (), new=True))
    assert without_waiting(ledger, (admit("t2", "s"),), at) is not None
    assert without_waiting(ledger, (Confirm("o", "t2", ("s", "another"), (), new=False),), at) == (None,)
    await settled(ledger)
    (answer,) = await ask(other, admit("t3", "another"))
    assert isinstance(answer, Admitted)
    assert answer.under_way


async def test_a_page_that_reserved_is_always_told_and_nobody_waits_for_it(ledger: RedisLedger) -> None:
    """Though its session is known here by now, the unit must be settled."""
    at = Instant(now())
    await ask(ledger, admit("t1", "s"), admit("t2", "s"))
    await ask(ledger, Confirm("o", "t2", ("s",), (), new=False))
    assert without_waiting(ledger, (Confirm("o", "t1", ("s",), (), new=False),), at) == (None,)
    assert (await ledger.org_usage("o"))[0] == {"c": 0}
    await ask(ledger, admit("t3", "s3"))
    assert without_waiting(ledger, (Release("o", "t3"),), at) == (None,)
    (answer,) = await ask(ledger, admit("t4", "s3", limit=1))
    assert answer == Admitted(under_way=False, user_admitted=False, over_quota=False, used=1)


async def test_what_is_asked_together_is_done_in_its_order(ledger: RedisLedger) -> None:
    answers = await ask(ledger, admit("t1", "s"), Release("o", "t1"), admit("t2", "s"), Mark("o", "x", ""))
    assert answers == (
        Admitted(under_way=False, user_admitted=False, over_quota=False, used=1),
        None,
        Admitted(under_way=False, user_admitted=False, over_quota=False, used=1),
        None,
    )


async def test_a_clock_that_stepped_back_makes_nothing_last(ledger: RedisLedger) -> None:
    at = now()
    await ask(ledger, claim("a"), Mark("o", "s", ""), at=at)
    assert without_waiting(ledger, (claim("a"),), Instant(at - 9_999)) is None
    assert without_waiting(ledger, (admit("t", "s"),), Instant(at - 9_999)) is None


# Pages' clocks.


async def agreed(clocks: SharedPageClocks, page: str, first: float, latest: float, at: Instant) -> float:
    fixed = clocks.fix("o", page, first, latest, at)
    asked = clocks.asked("o", page)
    if asked is not None:
        await asyncio.wait([asked])
    return (clocks.find("o", page) or fixed).offset


def offset_of(clocks: SharedPageClocks, page: str) -> float:
    known = clocks.find("o", page)
    assert known is not None
    return known.offset


async def test_a_page_has_one_clock_in_all_processes(ledger: RedisLedger, other: RedisLedger) -> None:
    at = Instant(now())
    here, there = (
        SharedPageClocks(ledger, WriteRate("page_clocks", 10_000, 10_000)),
        SharedPageClocks(other, WriteRate("page_clocks", 10_000, 10_000)),
    )
    assert await agreed(here, "p", 1_000.0, 1_000.0, at) == pytest.approx(1_000.0, abs=1e-6)
    # Each has its own estimate of the server's clock: half a round trip of doubt.
    doubt = pytest.approx(1_000.0, abs=0.5)
    assert await agreed(there, "p", 2_000.0, 2_000.0, at) == doubt
    assert offset_of(there, "p") == doubt


async def test_a_clock_moves_back_in_all_processes_by_10_minutes_at_most(
    ledger: RedisLedger, other: RedisLedger
) -> None:
    at = Instant(now())
    here, there = (
        SharedPageClocks(ledger, WriteRate("page_clocks", 10_000, 10_000)),
        SharedPageClocks(other, WriteRate("page_clocks", 10_000, 10_000)),
    )
    await agreed(here, "p", 1_000.0, 1_000.0, at)
    moved = pytest.approx(500.0, abs=0.5)
    assert await agreed(there, "p", 600.0, 500.0, at) == moved
    assert await agreed(here, "p", 700.0, 700.0, at) == moved
    assert await agreed(here, "p", 300.0, 300.0, at) == pytest.approx(400.0, abs=0.5)


async def test_a_clock_of_the_version_before_is_read_and_does_not_move(
    ledger: RedisLedger, valkey: ValkeyServer, prefix: str
) -> None:
    key = f"{org_base(prefix, 'o')}p:{id_of(KeyKind.PAGE, 'o', 'p').partition(':')[2]}"
    valkey.command("SET", key, "1000.5")
    clocks = SharedPageClocks(ledger, WriteRate("page_clocks", 10_000, 10_000))
    asked = await agreed(clocks, "p", 7.0, 7.0, Instant(now()))
    assert asked == pytest.approx(1_000.5, abs=0.5)


async def test_a_clock_fixed_behind_gives_way_to_the_one_that_was_first(
    ledger: RedisLedger, other: RedisLedger
) -> None:
    at = Instant(now())
    here, there = (
        SharedPageClocks(ledger, WriteRate("page_clocks", 10_000, 10_000)),
        SharedPageClocks(other, WriteRate("page_clocks", 10_000, 10_000)),
    )
    here.fix("o", "p", 1_000.0, 1_000.0, at)
    await settled(ledger)
    assert there.fix("o", "p", 2_000.0, 2_000.0, at) == first_clock(2_000.0)
    await settled(other)
    assert offset_of(there, "p") == pytest.approx(1_000.0, abs=0.5)
    assert there.fix("o", "", 3.0, 3.0, at) == first_clock(3.0)
    assert there.asked("o", "") is None


async def test_what_redis_said_of_a_uid_is_believed_until_a_list_changes(
    ledger: RedisLedger, other: RedisLedger
) -> None:
    at, question = now(), (Recall("o", "s", "u"),)
    assert without_waiting(ledger, question, at) is None
    assert await ledger.ask(question, at, LONG) == (Recalled(()),)
    await ask(other, Mark("o", "s", "u", 7))
    await settled(other)
    before = ledger.links.breakers()[0].round_trips
    assert without_waiting(ledger, question, at) == (Recalled(()),)
    assert without_waiting(ledger, question, Instant(at + 60)) is None
    assert ledger.links.breakers()[0].round_trips == before
    ledger.forget_uids()
    assert without_waiting(ledger, question, at) is None
    assert await ledger.ask(question, at, LONG) == (Recalled((7,)),)


async def test_a_uid_is_told_once_and_known_here_at_once(ledger: RedisLedger, other: RedisLedger) -> None:
    at = now()
    assert without_waiting(ledger, (Mark("o", "s", ""),), at) == (None,)
    assert without_waiting(ledger, (Mark("o", "s", "", 7),), at) == (None,)
    assert without_waiting(ledger, (Recall("o", "s", ""),), at) == (Recalled((7,)),)
    await settled(ledger)
    (found,) = await ask(other, Recall("o", "s", ""))
    assert found == Recalled((7,))
    before = ledger.links.breakers()[0].round_trips
    for _ in range(3):
        assert without_waiting(ledger, (Mark("o", "s", "", 7),), at) == (None,)
    await ask(ledger, Mark("o", "s", "", 7))
    assert ledger.links.breakers()[0].round_trips == before


class Rate(WriteRate):
    """On a clock that the test moves."""

    now = 1_000.0

    def clock(self) -> float:
        return self.now


async def test_a_pages_clock_lives_15_minutes_from_when_it_was_asked_for_last(
    ledger: RedisLedger, valkey: ValkeyServer, prefix: str
) -> None:
    clocks, at = SharedPageClocks(ledger, WriteRate("page_clocks", 10, 10)), now()
    clocks.fix("o", "p", at - 10, at - 10, at)
    await settled(ledger)
    (key,) = (each for each in keys(valkey, prefix) if ":p:" in each)

    async def renewed(after: float) -> int:
        valkey.command("EXPIRE", key, "300")
        clocks.fix("o", "p", at, at, Instant(at + after))
        await settled(ledger)
        return int(valkey.command("TTL", key)[1:])

    assert 600 < int(valkey.command("TTL", key)[1:]) <= 900
    assert await renewed(299) <= 300
    assert 600 < await renewed(301) <= 900
    assert await renewed(600) <= 300
    valkey.command("DEL", key)
    assert 600 < await renewed(602) <= 900, "one that is gone is written anew"
    kept = clocks.find("o", "p")
    assert kept is not None
    assert kept.offset == pytest.approx(at - 10, abs=0.001)


async def test_clocks_over_the_rate_are_this_processes_own(
    ledger: RedisLedger, valkey: ValkeyServer, prefix: str
) -> None:
    rate = Rate("page_clocks", 3, 5)
    clocks, at = SharedPageClocks(ledger, rate), now()
    for number in range(10):
        clocks.fix("o", f"p{number}", at, at, at)
    assert await agreed(clocks, "another", at - 7, at - 7, at) == at - 7
    await settled(ledger)
    assert len([each for each in keys(valkey, prefix) if ":p:" in each]) == 3
    assert clocks.find("o", "p9") is not None
    assert rate.skipped == 8
    rate.now += 1
    clocks.fix("o", "yet another", at, at, at)
    await settled(ledger)
    assert len([each for each in keys(valkey, prefix) if ":p:" in each]) == 4


async def test_sessions_of_a_clients_choice_are_marked_up_to_a_rate_and_later_if_they_go_on(
    ledger: RedisLedger, valkey: ValkeyServer, prefix: str
) -> None:
    rate = ledger.id_rate = Rate("sessions", 3, 5)
    at = now()

    async def marked(org: str, *sessions: str) -> int:
        for session in sessions:
            assert without_waiting(ledger, (Mark(org, session, ""),), at) == (None,)
        await settled(ledger)
        return len([each for each in keys(valkey, prefix) if f"{{{org}}}:s:" in each])

    assert await marked("o", *(f"s{number}" for number in range(10))) == 3
    assert await marked("other", *(f"s{number}" for number in range(10))) == 2
    assert rate.skipped == 15
    rate.now += 1
    assert await marked("o", "s0", "s1", "s2", "s8", "s9") == 5, "the first three were known"
    assert without_waiting(ledger, (Mark("o", "s5", "", 7),), at) == (None,)
    (found,) = await ask(ledger, Recall("o", "s5", ""))
    assert found == Recalled((7,)), "a uid is told in any case"
