"""What the ledger's words and numbers are: stored files and servers of other versions rely on them."""

from __future__ import annotations

from fsproxy.core.limits import operations
from fsproxy.core.limits.operations import Admitted, Confirm, NameKind, RateKind, Spent


def test_the_times_of_sessions_and_reservations_are_those_of_the_rules() -> None:
    """rules.md 1: 30 minutes without activity, 24 hours in any case, 60 seconds for a reservation."""
    assert operations.SESSION_IDLE_SECONDS == 1_800
    assert operations.SESSION_LIFE_SECONDS == 86_400
    assert operations.RESERVATION_SECONDS == 60


def test_the_words_under_which_names_and_rates_are_stored_never_change() -> None:
    names = ["user_property", "event_name", "event_property", "page_property", "page_name"]
    assert [kind.value for kind in NameKind] == names
    assert [kind.value for kind in RateKind] == ["event", "user", "page"]


def test_what_is_not_said_is_what_costs_least_to_be_wrong_about() -> None:
    """A ledger that cannot tell holds a reservation; nobody is remembered, nothing left, no time to wait."""
    admitted = Admitted(under_way=False, user_admitted=False, over_quota=False)
    assert (admitted.used, admitted.held) == (0, True)
    assert Confirm("o", "t", (), (), new=True).visitors == ()
    assert (Spent(passed=True).retry_after, Spent(passed=True).remaining) == (0.0, 0)
