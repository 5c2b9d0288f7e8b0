"""Names: counted once, refused beyond the limit, forgotten when unseen."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.core.limits.operations import Claim, Claimed, NameKind
from fsproxy.core.model import Instant
from fsproxy.shell.ledger import Bounds, MemoryLedger

START = 1_790_000_000.0
KIND = NameKind.EVENT_NAME


def claim(
    ledger: MemoryLedger, *names: str, org: str = "o", kind: NameKind = KIND, limit: int = 3, after: float = 0.0
) -> Claimed:
    (answer,) = ledger.try_now((Claim(org, kind, names, limit, retention=100.0),), Instant(START + after))
    assert isinstance(answer, Claimed)
    return answer


def test_a_name_counts_once() -> None:
    ledger = MemoryLedger()
    assert claim(ledger, "a", "b", "a") == Claimed(frozenset(), 2)
    assert claim(ledger, "a") == Claimed(frozenset(), 2)


def test_at_the_limit_known_names_pass_and_new_ones_are_refused() -> None:
    ledger = MemoryLedger()
    claim(ledger, "a", "b", "c")
    assert claim(ledger, "a", "d", "c", "e") == Claimed(frozenset({"d", "e"}), 3)


def test_a_lowered_limit_keeps_what_is_known() -> None:
    ledger = MemoryLedger()
    claim(ledger, "a", "b", "c")
    assert claim(ledger, "a", "d", limit=1) == Claimed(frozenset({"d"}), 3)


def test_a_name_is_forgotten_once_unseen_for_the_retention() -> None:
    ledger = MemoryLedger()
    claim(ledger, "a", "b", "c")
    claim(ledger, "b", after=50.0)
    assert claim(ledger, "d", after=99.875) == Claimed(frozenset({"d"}), 3)
    assert claim(ledger, "d", "e", after=100.0) == Claimed(frozenset(), 3)
    assert claim(ledger, "a", after=100.0) == Claimed(frozenset({"a"}), 3)


def test_kinds_and_orgs_count_apart() -> None:
    ledger = MemoryLedger()
    claim(ledger, "a", "b", "c")
    assert claim(ledger, "d", kind=NameKind.USER_PROPERTY) == Claimed(frozenset(), 1)
    assert claim(ledger, "d", org="o2") == Claimed(frozenset(), 1)
    assert ledger.names_usage("o") == {
        NameKind.USER_PROPERTY: 1,
        NameKind.EVENT_NAME: 3,
        NameKind.EVENT_PROPERTY: 0,
    }
    assert ledger.names_usage("unknown") == dict.fromkeys(NameKind, 0)


def test_long_names_are_told_apart_and_cost_no_more() -> None:
    ledger = MemoryLedger()
    long = "\ud800" + "x" * 100_000
    assert claim(ledger, long + "a", long + "b", limit=1).refused == {long + "b"}
    assert claim(ledger, long + "a", limit=1).refused == frozenset()


def test_refused_names_are_not_kept() -> None:
    ledger = MemoryLedger()
    claim(ledger, *(f"n{n}" for n in range(1_000)))
    assert ledger.usage().names == 3


def test_too_many_orgs_lose_the_names_of_the_one_that_claimed_longest_ago() -> None:
    ledger = MemoryLedger(Bounds(orgs=2))
    for org in ("o1", "o2", "o1", "o3"):
        claim(ledger, "a", "b", org=org)
    assert ledger.names_usage("o1")[KIND] == 2
    assert ledger.names_usage("o2")[KIND] == 0
    assert ledger.usage().evicted["names"] == 2


def test_too_many_names_cost_other_orgs_theirs_but_never_the_one_that_asks() -> None:
    ledger = MemoryLedger(Bounds(names=5))
    claim(ledger, "a", "b", "c", org="o1")
    assert claim(ledger, *"abcdefg", org="o2", limit=9) == Claimed(frozenset("fg"), 5)
    assert ledger.names_usage("o1")[KIND] == 0
    assert ledger.usage().names == 5


moves = st.lists(
    st.tuples(st.lists(st.sampled_from("abcdefgh"), max_size=4), st.sampled_from([0.0, 1.0, 40.0, 99.0, 100.0])),
    max_size=40,
)


@given(moves)
@settings(deadline=None)
def test_any_sequence_agrees_with_a_plain_model(sequence: list[tuple[list[str], float]]) -> None:
    ledger = MemoryLedger()
    seen: dict[str, float] = {}
    now = 0.0
    for names, gap in sequence:
        now += gap
        seen = {name: last for name, last in seen.items() if now - last < 100}
        refused = set()
        for name in names:
            if name in seen or len(seen) < 3:
                seen[name] = now
            else:
                refused.add(name)
        assert claim(ledger, *names, after=now) == Claimed(frozenset(refused), len(seen))
