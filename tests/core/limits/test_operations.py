"""What the ledger's words and numbers are: stored files and servers of other versions rely on them."""

from __future__ import annotations

import msgspec
import pytest

from fsproxy.core.limits import operations
from fsproxy.core.limits.operations import Admit, Admitted, Claim, Confirm, Mark, NameKind, RateKind, Spend, Spent
from fsproxy.core.model import Instant


def test_the_times_of_sessions_and_reservations_are_those_of_the_rules() -> None:
    """rules.md 1: 30 minutes without activity, 24 hours in any case, 60 seconds for a reservation."""
    assert operations.SESSION_IDLE_SECONDS == 1_800
    assert operations.SESSION_LIFE_SECONDS == 86_400
    assert operations.RESERVATION_SECONDS == 60


def test_the_words_under_which_names_and_rates_are_stored_never_change() -> None:
    names = ["user_property", "event_name", "event_property", "page_property", "page_name"]
    assert [kind.value for kind in NameKind] == names
    assert [kind.value for kind in RateKind] == ["event", "user", "page"]


@pytest.mark.parametrize(
    ("made", "defaults"),
    [
        (Admit("o", "t", "s", "u", ramped_out=False, quota=None), ("", False, "")),
        (Admitted(under_way=False, user_admitted=False, over_quota=False), (0, True, False)),
        (Confirm("o", "t", (), (), new=True), ((), 0, True)),
        (Mark("o", "s", "u"), (0, False)),
        (Claim("o", NameKind.EVENT_NAME, (), 1, 1.0), ("", 0)),
        (Spend("o", "s", RateKind.EVENT, Instant(1.0), ()), ("", 0.0, 0, "")),
        (Spent(passed=True), (0.0, 0)),
    ],
)
def test_what_is_not_said_is_what_costs_least_to_be_wrong_about(
    made: msgspec.Struct, defaults: tuple[object, ...]
) -> None:
    """A ledger that does not know: a reservation is held, no visitor is remembered or named, nothing is left, no time to wait."""
    assert made.__struct_defaults__ == defaults


def test_no_limit_on_names_is_a_number_below_all_limits() -> None:
    """A script in a Redis server recognizes it by its sign."""
    assert operations.UNCOUNTED < 0
