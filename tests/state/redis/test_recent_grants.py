"""Which grants are sent again to a server that may not know of them."""

from __future__ import annotations

from fsproxy.clock import now
from fsproxy.core.limits.operations import Admit, Admitted, Confirm, Operation, QuotaTerms
from fsproxy.core.model import Instant
from fsproxy.state.redis.recent_grants import LAST_SECONDS, MOST, RecentGrants


def granted(grants: RecentGrants, org: str, session: str, ago: float) -> None:
    terms = QuotaTerms("c", 9, Instant(now() + 86_400), enforced=True)
    operation = Admit(org, f"{org} {session}", session, "", ramped_out=False, quota=terms)
    grants.note(operation, Admitted(under_way=False, user_admitted=False, over_quota=False), Instant(now() - ago))


def sessions(operations: list[Operation]) -> list[str]:
    return [each.session for each in operations if isinstance(each, Admit)]


def test_grants_of_a_node_that_is_lost_outlast_those_of_others_until_its_replica_is_in_charge() -> None:
    grants = RecentGrants()
    granted(grants, "lost", "long before", 25.0)
    granted(grants, "lost", "before", 22.0)
    granted(grants, "lost", "last", 20.0)
    for ago in range(20):
        granted(grants, "goes on", f"{ago} s ago", 19.0 - ago)
    assert sessions(grants.again())[:2] == ["before", "last"]


def test_of_an_org_that_goes_on_the_last_seconds_alone_are_sent() -> None:
    grants = RecentGrants()
    for ago in (20.0, 10.0, 1.0 + 2 * LAST_SECONDS, 2.0, 1.0):
        granted(grants, "o", f"{ago:.0f}", ago)
    assert sessions(grants.again()) == ["2", "1"]


def test_what_has_lapsed_is_not_sent_and_no_more_is_kept_than_may_be() -> None:
    grants = RecentGrants()
    granted(grants, "o", "lapsed", 61.0)
    assert grants.again() == []
    for number in range(MOST + 1):
        granted(grants, "o", str(number), 1.0)
    assert sessions(grants.again())[:1] == ["1"]


def test_what_became_of_a_unit_goes_with_it() -> None:
    grants = RecentGrants()
    granted(grants, "o", "s", 1.0)
    confirm = Confirm("o", "o s", ("s",), (), new=True)
    grants.end(confirm)
    assert grants.again()[1:] == [confirm]
