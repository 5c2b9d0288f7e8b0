"""Reason 5: addresses, parts, networks."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.core.filters.ip import IpFilter, hides, problem, renamed
from fsproxy.core.matching.addresses import AddressPattern, AddressTable, parse_pattern
from fsproxy.core.model import FilterName, Hit, Instant, Mode, Route, SessionFacts
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.settings import CoreSettings, Entry, FilterSettings, IpSettings, OrgSettings

NOW = Instant(1_795_287_301.0)


def _filter(block: list[str], allow: list[str] | None = None) -> IpFilter:
    ip = IpSettings(block=tuple(map(Entry, block)), allow=tuple(map(Entry, allow or [])))
    made = IpFilter.compile(OrgSettings(filters=FilterSettings(ip=ip)), CoreSettings(client_ip="full"))
    assert made is not None
    return made


def _judge(made: IpFilter, address: str | None) -> Hit | None:
    ip = ip_address(address) if address is not None else None
    return made.judge(SessionFacts(route=Route.PAGE, client_ip=ip), NOW)


MATCHES = [
    # exact
    ("192.168.1.7", "192.168.1.7", True),
    ("192.168.1.7", "192.168.1.8", False),
    ("2001:db8::1", "2001:DB8:0:0::1", True),
    ("2001:DB8:0:0:0:0:0:1", "2001:db8::1", True),
    ("2001:db8::1", "2001:db8::2", False),
    ("::1", "0.0.0.1", False),
    # a part
    ("192.168.1.*", "192.168.1.0", True),
    ("192.168.1.*", "192.168.1.255", True),
    ("192.168.1.*", "192.168.2.1", False),
    ("192.168.*.*", "192.168.77.1", True),
    ("192.*.1.1", "192.5.1.1", True),
    ("192.*.1.1", "192.5.1.2", False),
    ("*.*.*.1", "8.8.8.1", True),
    ("*.*.*.*", "8.8.8.8", True),
    ("*.*.*.*", "2001:db8::1", False),
    ("2001:db8:*:*:*:*:*:*", "2001:db8:1:2:3:4:5:6", True),
    ("2001:db8:*:*:*:*:*:*", "2001:db9::", False),
    ("2001:db8::*", "2001:db8::77", True),
    ("2001:db8::*", "2001:db8::1:77", False),
    ("2001:*::1", "2001:ff::1", True),
    ("*::", "abcd::", True),
    ("::ffff:192.168.1.*", "192.168.1.9", True),
    # networks
    ("10.0.0.0/8", "10.255.0.1", True),
    ("10.0.0.0/8", "11.0.0.1", False),
    ("10.1.2.3/8", "10.200.0.1", True),
    ("10.0.0.1/32", "10.0.0.1", True),
    ("10.0.0.1/32", "10.0.0.2", False),
    ("0.0.0.0/0", "203.0.113.9", True),
    ("0.0.0.0/0", "2001:db8::1", False),
    ("192.0.2.128/25", "192.0.2.127", False),
    ("2001:db8::/32", "2001:db8:ffff::1", True),
    ("2001:db8::1/32", "2001:db8:ffff::1", True),
    ("2001:db8::/33", "2001:db8:8000::", False),
    ("::/0", "2001:db8::1", True),
    ("::/0", "203.0.113.9", False),
    # IPv4 inside IPv6 is IPv4
    ("10.0.0.0/8", "::ffff:10.1.1.1", True),
    ("::ffff:10.0.0.0/104", "10.1.1.1", True),
    ("::ffff:10.0.0.1", "10.0.0.1", True),
    ("::ffff:0:0/96", "8.8.8.8", True),
    # ports and brackets are tolerated
    ("192.168.1.7:8080", "192.168.1.7", True),
    ("192.168.1.*:8080", "192.168.1.9", True),
    ("[2001:db8::1]", "2001:db8::1", True),
    ("[2001:db8::1]:443", "2001:db8::1", True),
    ("[2001:db8::]/32", "2001:db8:5::1", True),
    (" 10.0.0.1 ", "10.0.0.1", True),
]


@pytest.mark.parametrize(("pattern", "address", "matches"), MATCHES)
def test_a_pattern_blocks_what_it_covers(pattern: str, address: str, *, matches: bool) -> None:
    assert problem(pattern) is None
    hit = _judge(_filter([pattern]), address)
    assert (hit is not None) is matches
    if hit is not None:
        assert (hit.filter, hit.code) == (FilterName.IP, ReasonCode.IP_FILTER)
        assert hit.rule.id == f"ip:block:{pattern}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "*",
        "192.168.1",
        "192.168.*",
        "192.168.1.1*",
        "192.168.1.**",
        "192.168.1.256",
        "192.168.01.1",
        "192.168.1.*/24",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "10.0.0.0/",
        "10.0.0.0/255.0.0.0",
        "10.0.0.0-10.0.0.9",
        "10.0.0.1:http",
        "2001:db8::/129",
        "2001:db8:*",
        "2001:db8:*:*:*:*:*:*:*",
        "1:2:3:4:5:6:7:*::8",
        "1:2:3:4:5:6:7:*::",
        "2001:db8::1::*",
        "2001:db8::ab*",
        "2001:db8::12345:*",
        "1.2.3.*::",
        "fe80::1%eth0",
        "[2001:db8::1",
        "2001:db8::1]",
        "example.com",
        "\u0661\u0660.0.0.1",
    ],
)
def test_what_is_no_pattern_is_refused_with_what_is_allowed(text: str) -> None:
    said = problem(text)
    assert said is not None
    assert "10.0.0.0/8" in said


def test_allow_wins_over_block_however_wide() -> None:
    made = _filter(["10.0.0.7", "10.0.0.0/8"], allow=["10.0.0.0/24"])
    assert _judge(made, "10.0.0.7") is None
    assert _judge(made, "10.0.1.7") is not None


def test_allow_alone_has_nothing_to_judge() -> None:
    ip = IpSettings(allow=(Entry("10.0.0.1"),))
    assert IpFilter.compile(OrgSettings(filters=FilterSettings(ip=ip)), CoreSettings()) is None


def test_the_most_specific_rule_is_named_and_of_equals_the_first() -> None:
    made = _filter(["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/8", "10.0.0.*", "10.0.0.1"])
    named = {address: _judge(made, address) for address in ("10.0.0.1", "10.0.0.2", "10.9.9.9", "11.0.0.1")}
    assert [hit.rule.id for hit in named.values() if hit is not None] == [
        "ip:block:10.0.0.1",
        "ip:block:10.0.0.*",
        "ip:block:10.0.0.0/8",
        "ip:block:0.0.0.0/0",
    ]


def test_an_id_tells_no_more_of_an_address_than_audit_lines_do() -> None:
    texts = ["10.0.0.7", "10.0.0.128/25", "10.0.0.0/24", "2001:db8::1"]
    ip = IpSettings(block=(*map(Entry, texts), Entry("10.9.9.9", id="ip:block:mine")))
    ids = {}
    for mode in ("truncated", "none", "hashed"):
        core = CoreSettings(client_ip=mode, client_ip_key="key")
        made = IpFilter.compile(OrgSettings(filters=FilterSettings(ip=ip)), core)
        assert made is not None
        hits = [_judge(made, each) for each in ("10.0.0.7", "10.0.0.130", "10.0.0.8", "2001:db8::1", "10.9.9.9")]
        ids[mode] = [hit.rule.id.removeprefix("ip:block:") for hit in hits if hit is not None]
        assert list(map(renamed(core), (f"ip:block:{each}" for each in texts))) == [
            f"ip:block:{each}" for each in ids[mode][:4]
        ]
        assert renamed(core)(f"ip:block:{ids[mode][0]}") == f"ip:block:{ids[mode][0]}", "once is enough"
    assert ids["truncated"] == ["10.0.0.x", "10.0.0.x/25", "10.0.0.0/24", "2001:db8:0:x", "mine"]
    assert ids["none"] == ["x", "x", "x", "x", "mine"]
    assert not any("10.0" in each or "2001" in each for each in ids["hashed"])
    assert len(set(ids["hashed"])) == 5
    assert [hides(f"ip:block:{each}") for each in ids["truncated"][:4]] == [True, True, False, True]
    assert all(hides(f"ip:block:{each}") for each in ids["hashed"][:4])
    assert renamed(CoreSettings(client_ip="full"))("ip:block:10.0.0.7") == "ip:block:10.0.0.7"
    assert renamed(CoreSettings())("domain:block:10.0.0.7") == "domain:block:10.0.0.7"


def test_an_explicit_id_and_the_place_are_kept() -> None:
    entry = Entry("10.0.0.1", where="fsproxy.yaml:7:5", id="the-office")
    ip = IpSettings(block=(entry,))
    made = IpFilter.compile(OrgSettings(filters=FilterSettings(ip=ip)), CoreSettings(client_ip="full"))
    assert made is not None
    hit = _judge(made, "10.0.0.1")
    assert hit is not None
    assert (hit.rule.id, hit.rule.where) == ("the-office", "fsproxy.yaml:7:5")


def test_a_visitor_without_an_address_is_not_judged() -> None:
    assert _judge(_filter(["0.0.0.0/0", "::/0"]), None) is None


def test_a_hundred_thousand_rules_need_no_more_tables_than_they_have_masks() -> None:
    base = int(IPv4Address("10.0.0.0"))
    rules = [str(IPv4Address(base + i)) for i in range(100_000)] + ["172.16.0.0/12", "192.168.1.*", "198.*.100.1"]
    made = _filter(rules)
    assert len(made.block.v4) == 4
    assert _judge(made, "10.1.134.159") is not None  # the last of them
    assert _judge(made, "10.1.134.160") is None


networks = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)).map(
    lambda pair: IPv4Network((pair[0] >> (32 - pair[1]) << (32 - pair[1]), pair[1]))
)


@settings(max_examples=200)
@given(found=st.lists(networks, max_size=20), address=st.ip_addresses(v=4))
def test_a_table_agrees_with_looking_at_every_network(found: list[IPv4Network], address: IPv4Address) -> None:
    table = AddressTable.of(
        (AddressPattern(4, int(net.network_address), int(net.netmask)), net.prefixlen) for net in found
    )
    covering = [net.prefixlen for net in found if address in net]
    assert table.find(address) == max(covering, default=None)


byte = st.sampled_from([0, 1, 10, 255])
close = st.builds(lambda *bytes_: int.from_bytes(bytes_), byte, byte, byte, byte)
masks = st.sampled_from([0, 0xFF000000, 0xFFFE0000, 0xFFFF0000, 0xFFFF8000, 0xFFFFFFFF, 0xFF00FFFF, 0xFFFF00FF, 0xFFFF])


@settings(max_examples=300)
@given(st.lists(st.tuples(close, masks), max_size=12), close)
def test_the_most_specific_of_any_patterns_near_each_other_is_found(found: list[tuple[int, int]], number: int) -> None:
    table = AddressTable.of((AddressPattern(4, value & mask, mask), mask) for value, mask in found)
    covering = [(mask.bit_count(), mask) for value, mask in found if number & mask == value & mask]
    expected = max(covering)[1] if covering else None
    assert table.find(IPv4Address(number)) == table.find(IPv6Address(0xFFFF << 32 | number)) == expected
    assert table.find(IPv6Address(number)) is None


@settings(max_examples=200)
@given(st.text())
def test_any_text_is_either_a_pattern_or_refused(text: str) -> None:
    assert problem(text) is None or "IP address" in str(problem(text))


def test_mode_off_compiles_to_nothing_and_the_top_mode_caps() -> None:
    def mode_of(own: Mode, top: Mode) -> Mode | None:
        ip = IpSettings(block=(Entry("10.0.0.1"),), mode=own)
        made = IpFilter.compile(OrgSettings(filters=FilterSettings(ip=ip)), CoreSettings(mode=top))
        return made.mode if made is not None else None

    assert mode_of(Mode.OFF, Mode.ENFORCE) is None
    assert mode_of(Mode.ENFORCE, Mode.OFF) is None
    assert mode_of(Mode.ENFORCE, Mode.SHADOW) is Mode.SHADOW
    assert mode_of(Mode.SHADOW, Mode.ENFORCE) is Mode.SHADOW


def test_a_pattern_itself_is_looked_up_by_all_of_it() -> None:
    table = AddressTable.of(
        (pattern, text)
        for text in ("10.0.0.0/8", "10.0.0.0/9", "10.0.0.1", "::/0", "2001:db8::/32")
        if (pattern := parse_pattern(text)) is not None
    )
    asked = [
        "10.0.0.0/8",
        "10.9.9.9/9",
        "10.0.0.1",
        "10.0.0.2",
        "10.0.0.0/10",
        "2001:db8::/32",
        "2001:db8::",
        "0.0.0.0/0",
    ]
    patterns = [pattern for text in asked if (pattern := parse_pattern(text)) is not None]
    found = ["10.0.0.0/8", "10.0.0.0/9", "10.0.0.1", None, None, "2001:db8::/32", None, None]
    assert list(map(table.at, patterns)) == found


def test_a_mapped_address_is_looked_up_to_its_last_bit() -> None:
    table = AddressTable.of([(AddressPattern(4, 0x0A000001, 0xFFFFFFFF), "one")])
    found = [table.find(ip_address(f"::ffff:10.0.0.{last}")) for last in (0, 1, 2)]
    assert found == [None, "one", None]


def test_two_colons_stand_for_one_group_or_more_also_beside_a_wildcard() -> None:
    assert parse_pattern("1:2:3:4:5:6::*") == parse_pattern("1:2:3:4:5:6:0:*") is not None
    assert parse_pattern("1:2:3:4:5:6:7::*") is None
