"""Lists that change while the program runs: what stands for an entry, and which row of one counts."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.core import run_time_lists
from fsproxy.core.filters.deleting_user import DeletingUserFilter
from fsproxy.core.filters.ip import IpFilter
from fsproxy.core.model import FilterName, Instant, Mode, OnTrouble, Route, SessionFacts
from fsproxy.core.policy import Snapshot
from fsproxy.core.policy_rules import hit_of
from fsproxy.core.run_time_lists import ListChange, ListFullError, ListRow, RunTimeLists, entry_from, entry_of, text_of
from fsproxy.core.settings import (
    CoreSettings,
    DeletingUserSettings,
    Entry,
    FilterSettings,
    IpSettings,
    OrgSettings,
    UserAgentSettings,
)
from fsproxy.core.uid_digest import uid_digest

NOW = Instant(1_795_287_301.0)
USERS, IP = FilterName.DELETING_USER, FilterName.IP


def change(name: FilterName, *add: str, remove: tuple[str, ...] = (), life: float = 60, at: float = NOW) -> ListChange:
    return ListChange(
        name, tuple(entry_of(name, x) for x in add), tuple(entry_of(name, x) for x in remove), at + life, at
    )


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("192.0.2.7", "192.0.2.7"),
        (" 192.0.2.7/32", "192.0.2.7"),
        ("203.0.113.77/24", "203.0.113.0/24"),
        ("203.0.113.*", "203.0.113.0/24"),
        ("[2001:DB8::1]:443", "2001:db8::1"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
        ("0.0.0.0/0", "0.0.0.0/0"),
    ],
)
def test_an_address_is_kept_as_its_network(text: str, entry: str) -> None:
    assert entry_of(IP, text) == entry
    assert entry_from(IP, text_of(entry)) == entry


@pytest.mark.parametrize("text", ["", "nonsense", "10.*.0.1", "10.0.0.0/33", "*:db8::1"])
def test_what_is_no_address_or_network_is_refused_without_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"^an IP address, or a network") as refused:
        entry_of(IP, text)
    assert not text or text not in str(refused.value)


def test_a_uid_is_kept_as_its_digest_and_must_be_one_that_can_match() -> None:
    assert entry_of(USERS, "u") == uid_digest("u")
    assert entry_of(USERS, "u" * 256) == uid_digest("u" * 256)
    assert entry_from(USERS, text_of(entry_of(USERS, "ann"))) == uid_digest("ann")
    for text in ("", "u" * 257):
        with pytest.raises(ValueError, match=r"^a uid, of 1 to 256 characters$"):
            entry_of(USERS, text)


def test_an_entry_is_in_force_until_its_end_and_then_forgotten() -> None:
    lists = RunTimeLists()
    assert lists.change(change(USERS, "ann", "ben", life=60))[1:] == (2, 0)
    users = lists.by_name[USERS]
    assert (users.has_user("ann", NOW + 59.9), users.has_user("ann", NOW + 60)) == (True, False)
    users.put(uid_digest(""), NOW + 60, NOW)
    assert not users.has_user("", NOW), "which every visitor has who was not identified"
    users.drop(uid_digest(""))
    assert not users.covers(ip_address("192.0.2.7"), NOW)
    lists.change(change(USERS, "ann", life=120))
    lists.sweep(NOW + 60)
    assert (users.live, users.has_user("ann", NOW + 100), lists.in_force()) == (1, True, {USERS})
    lists.sweep(NOW + 120)
    assert (len(lists), users.live, lists.in_force()) == (0, 0, frozenset())


def test_networks_of_any_length_cover_their_addresses_until_they_end() -> None:
    lists = RunTimeLists()
    lists.change(change(IP, "192.0.2.7", life=60))
    lists.change(change(IP, "192.0.2.0/24", "2001:db8::/32", life=30))
    networks = lists.by_name[IP]
    seen = {
        text: (networks.covers(ip_address(text), NOW + 29), networks.covers(ip_address(text), NOW + 30))
        for text in ("192.0.2.7", "192.0.2.8", "192.0.3.7", "2001:db8::1", "2001:db9::1")
    }
    assert [*seen.values()] == [(True, True), (True, False), (False, False), (True, False), (False, False)]
    lists.sweep(NOW + 30)
    assert networks.covers(ip_address("192.0.2.7"), NOW + 30)
    lists.sweep(NOW + 60)
    assert not networks.covers(ip_address("192.0.2.7"), NOW)
    lists.change(change(IP, "192.0.2.0/24"))
    assert networks.covers(ip_address("192.0.2.9"), NOW)


def test_a_removal_counts_what_was_there_and_is_remembered_as_long_as_the_entry_would_have_been() -> None:
    lists, old = RunTimeLists(), RunTimeLists()
    rows, *_ = lists.change(change(USERS, "ann", life=60))
    old.take(rows, NOW)
    assert lists.change(change(USERS, remove=("ann", "nobody"), at=NOW + 1))[1:] == (0, 1)
    assert (lists.by_name[USERS].live, lists.in_force()) == (0, frozenset())
    assert lists.take(old.rows(), NOW + 2) == [], "an older row brings nothing back"
    assert old.take(lists.rows(), NOW + 2), "and the removal reaches those who have it"
    assert not old.by_name[USERS].has_user("ann", NOW + 2)
    lists.sweep(NOW + 60)
    assert len(lists) == 0


def test_a_change_counts_although_another_machines_clock_is_ahead() -> None:
    lists = RunTimeLists()
    lists.take([ListRow(USERS, uid_digest("ann"), NOW + 60, NOW + 5)], NOW)
    lists.change(change(USERS, remove=("ann",)))
    assert not lists.by_name[USERS].has_user("ann", NOW)


def test_a_full_list_refuses_the_whole_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_time_lists, "MOST_ENTRIES", {**run_time_lists.MOST_ENTRIES, USERS: 2})
    lists = RunTimeLists()
    lists.change(change(USERS, "ann", "ben"))
    with pytest.raises(ListFullError):
        lists.change(change(USERS, "carl", "dora", remove=("ann",)))
    assert lists.by_name[USERS].has_user("ann", NOW)
    assert lists.change(change(USERS, "carl", "ben", remove=("ann",)))[1:] == (1, 1)


rows = st.builds(
    ListRow,
    st.just(USERS),
    st.integers(1, 3),
    st.sampled_from([NOW + 50.0, NOW + 90.0, -(NOW + 50.0)]),
    st.sampled_from([NOW - 2.0, NOW - 1.0]),
)


@settings(max_examples=60)
@given(st.lists(rows, max_size=8), st.randoms(use_true_random=False))
def test_processes_that_hear_of_the_same_rows_in_any_order_agree(every: list[ListRow], shuffled: object) -> None:
    one, other = RunTimeLists(), RunTimeLists()
    one.take(every, NOW)
    again = list(every)
    shuffled.shuffle(again)  # type: ignore[attr-defined]
    for each in again:
        other.take([each], NOW)
    assert sorted(one.rows()) == sorted(other.rows())
    assert one.by_name[USERS].live == sum(row.ends > 0 for row in one.rows())


def test_only_policies_with_such_a_list_look_it_up_and_all_else_is_kept() -> None:
    lists = RunTimeLists()
    agents = FilterSettings(user_agent=UserAgentSettings(block=(Entry("bot"),)), ip=IpSettings(allow=(Entry("::9"),)))
    core = CoreSettings(default=OrgSettings(filters=agents), orgs={"o": OrgSettings()}, unlisted=OnTrouble.BLOCK)
    before = Snapshot.compile(core, 7)
    assert before.default.deleting_user is None
    with_lists = CoreSettings(
        default=core.default, orgs=core.orgs, unlisted=core.unlisted, run_time={IP: lists.by_name[IP]}
    )
    after = Snapshot.compile(with_lists, 7, before)
    (kept,) = [each for each in before.default.on_page if each.name is FilterName.USER_AGENT]
    assert any(each is kept for each in after.default.on_page)
    assert [each.name for each in after.default.on_page] == ["org", "url", "ip", "user_agent", "opt_out"]
    assert after.default.deleting_user is None
    assert "ip" in [each.name for each in after.orgs["o"].on_bundle]
    hit = hit_of(after.default, "ip:run-time")
    assert hit is not None
    assert hit.rule.where == ""
    lists.change(change(IP, "::8", "::9"))
    judging = next(each for each in after.default.on_page if isinstance(each, IpFilter))
    for address, found in (("::8", hit), ("::9", None), ("::7", None)):
        assert judging.judge(SessionFacts(route=Route.PAGE, client_ip=ip_address(address)), NOW) == found


def test_an_entry_is_kept_for_a_year_at_most_and_a_list_is_bounded() -> None:
    assert run_time_lists.MOST_SECONDS == 366 * 24 * 3600
    assert run_time_lists.MOST_ENTRIES == {IP: 10_000, USERS: 100_000, FilterName.BLOCKED_USER: 100_000}


def test_a_filter_that_is_off_has_no_list() -> None:
    lists = RunTimeLists()
    core = CoreSettings(run_time={USERS: lists.by_name[USERS]})
    for mode, there in ((Mode.OFF, False), (Mode.ENFORCE, True)):
        org = OrgSettings(filters=FilterSettings(deleting_user=DeletingUserSettings(mode=mode)))
        assert (DeletingUserFilter.compile(org, core) is not None) is there
