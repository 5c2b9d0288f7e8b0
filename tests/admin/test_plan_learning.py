"""A running proxy says which plan of names would have all that it has counted."""

from __future__ import annotations

import pytest

from fsproxy.admin.backend import UnansweredError
from fsproxy.admin.plan_learning import learn_plan
from fsproxy.clock import now
from fsproxy.config.files import SentFiles
from fsproxy.config.loader import load_text
from fsproxy.core.limits.operations import Claim, NameKind
from fsproxy.core.model import Instant
from fsproxy.state.memory.ledger import MemoryLedger
from fsproxy.state.redis.ledger import RedisLedger
from support.ledgers import at_once
from support.valkey import server_at

LOST = "redis://user:s3cret@127.0.0.1:1/0"
TEXT = (
    "upstream: {url: http://a}\n"
    "client_api: {cardinality: {retention: 1h}}\n"
    "orgs: {listed: {b: {client_api: {cardinality: {retention: 3h}}}}}\n"
    f"state: {{backend: redis, redis: {{url: '{LOST}'}}}}\n"
)
CONFIG = load_text(TEXT, "f.yaml", {}, SentFiles({}))


def ledger() -> MemoryLedger:
    made, time = MemoryLedger(), now()
    for org, kind, name, age in (
        ("a", NameKind.EVENT_NAME, "Bought", 0),
        ("a", NameKind.EVENT_PROPERTY, "Bought/a.b_int", 0),
        ("a", NameKind.EVENT_NAME, "Forgotten", 7200),
        ("b", NameKind.EVENT_NAME, "Kept", 7200),
        ("b", NameKind.USER_PROPERTY, "tier_str", 0),
    ):
        at_once(made, (Claim(org, kind, (name,), 9, 9e9),), Instant(time - age))
    return made


def names_in(plan: str) -> list[str]:
    return [line.strip().partition("  #")[0] for line in plan.splitlines() if line.startswith("  ")]


@pytest.mark.parametrize(
    ("org", "names"),
    [
        (None, ["Bought:", "properties:", "a.b: int", "Kept: {}", "tier: str"]),
        ("b", ["Kept: {}", "tier: str"]),
        ("c", []),
    ],
)
async def test_what_memory_has_kept_makes_a_plan_of_all_orgs_or_of_one(org: str | None, names: list[str]) -> None:
    answer = await learn_plan(ledger(), CONFIG, org)
    assert names_in(answer["plan"]) == names
    assert bool(answer["plan"]) is bool(names)


async def test_a_store_that_is_down_is_no_answer() -> None:
    with pytest.raises(UnansweredError, match="cannot be read"):
        await learn_plan(RedisLedger(server_at(LOST), "", 0.2), CONFIG, None)
