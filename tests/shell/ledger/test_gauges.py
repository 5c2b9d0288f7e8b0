"""What is told of the names that orgs have used."""

from __future__ import annotations

from fsproxy.core.limits.operations import Claim, NameKind
from fsproxy.core.model import Instant
from fsproxy.shell.ledger.gauges import MOST_ORGS, names_in_use
from fsproxy.shell.ledger.memory import MemoryLedger


def samples(ledger: MemoryLedger) -> dict[tuple[str, str], float]:
    (family,) = names_in_use(ledger)
    found = [((each.labels["org"], each.labels["kind"]), each.value) for each in family.samples]
    assert len(dict(found)) == len(found), "a sample stands twice"
    return dict(found)


def claim(ledger: MemoryLedger, org: str, kind: NameKind, *names: str) -> None:
    ledger.try_now((Claim(org, kind, names, 500, 86_400.0),), Instant(1000.0))


def test_each_kind_of_each_org_has_its_own() -> None:
    ledger = MemoryLedger()
    claim(ledger, "a", NameKind.EVENT_NAME, "x", "y")
    claim(ledger, "a", NameKind.EVENT_PROPERTY, "x/a_int")
    claim(ledger, "b", NameKind.USER_PROPERTY, "a_int")
    found = samples(ledger)
    assert found["a", "event_name"] == 2
    assert found["a", "event_property"] == 1
    assert found["a", "user_property"] == 0
    assert found["b", "user_property"] == 1


def test_orgs_are_bounded_and_those_that_claimed_last_are_told_of() -> None:
    ledger = MemoryLedger()
    for number in range(MOST_ORGS + 50):
        claim(ledger, f"o-{number}", NameKind.EVENT_NAME, "x")
    orgs = {org for org, _ in samples(ledger)}
    assert len(orgs) == MOST_ORGS
    assert "o-149" in orgs
    assert "o-49" not in orgs


def test_ids_that_look_alike_when_escaped_do_not_make_a_sample_stand_twice() -> None:
    ledger = MemoryLedger()
    for org in ("a\n", "a\\u000a"):
        claim(ledger, org, NameKind.EVENT_NAME, "x")
    assert {org for org, _ in samples(ledger)} == {"a\\u000a"}
