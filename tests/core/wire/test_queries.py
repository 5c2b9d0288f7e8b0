import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.core.wire.queries import read_query

JUDGED = ["OrgId", "UserId", "SessionId", "PageId", "ContentEncoding", "ClientTime", "PageStart"]


@pytest.mark.parametrize("name", JUDGED)
@pytest.mark.parametrize(
    ("sent", "read"), [("a", "a"), ("", ""), ("a+b", "a b"), ("%61%2B", "a+"), ("%c3%a9", "\u00e9"), ("a=b", "a=b")]
)
@pytest.mark.parametrize("others", ["", "&Seq=1", "&Seq=1&x=2", "&x=1;y=2"])
def test_a_single_value_is_read_as_a_form_writes_it(name: str, sent: str, read: str, others: str) -> None:
    found, contradictory = read_query(f"{name}={sent}{others}")
    assert (found[name], contradictory) == (read, False)


@pytest.mark.parametrize("name", JUDGED)
def test_a_value_is_found_behind_any_number_of_others(name: str) -> None:
    many = "&".join(f"a{number}=1" for number in range(3000))
    assert read_query(f"{many}&{name}=1") == ({name: "1"}, False)
    assert read_query(f"{name}=1&{many}&{name}=2")[1]


@pytest.mark.parametrize("name", JUDGED)
@pytest.mark.parametrize(
    "query",
    [
        "{N}=a&{N}=b",
        "{N}=a&x=1&{N}=",
        "{N}=&{N}=a",
        "{N}&{N}=a",
        "{N}=a&{n}=b",
        "{n}=a",
        "{n}=a&{N}=a&{n}=b",
        "{N}=a&{E}=b",
        "{N}=a&+{N}=b",
        "{N}=a;x=1",
        "{N}=a;",
        "x=1;{N}=a",
        "x=1;{N}=b&{N}=a",
        "{N}=a+b&{N}=a%20b",
        "{N}=a%2Bb&{N}=a+b",
    ],
)
def test_what_two_readers_find_two_values_for_is_contradictory(name: str, query: str) -> None:
    encoded = f"%{ord(name[0]):02x}{name[1:]}"
    assert read_query(query.format(N=name, n=name.swapcase(), E=encoded))[1]


@pytest.mark.parametrize("name", JUDGED)
@pytest.mark.parametrize(
    "query", ["{N}=a&{N}=a", "{N}=a&{N}=%61", "{N}=&{N}", "{N}=a&{n}=a", "{n}=", "{N}=a&x=1;y=2", "{N}=a%3Bb&{N}=a%3bb"]
)
def test_equal_repeats_are_fine(name: str, query: str) -> None:
    assert not read_query(query.format(N=name, n=name.lower()))[1]


@pytest.mark.parametrize("query", ["Seq=1&Seq=2", "a=1&a=2", "DeltaT=1&deltat=2", "x;y;z", "", "&&", "=&="])
def test_what_is_not_judged_by_may_be_said_twice(query: str) -> None:
    assert not read_query(query)[1]


def test_the_first_value_of_the_rest_counts() -> None:
    assert read_query("Seq=1&Seq=2&Other=3&Org%49d=a%2Db+c") == ({"OrgId": "a-b c"}, False)


@settings(max_examples=300)
@given(st.lists(st.sampled_from(["OrgId=a", "OrgId=b", "orgid=a", "x=1", "&", ";", "=", "%", "+", "OrgId", "\udcff"])))
def test_a_query_without_contradiction_has_one_value_however_it_is_split(parts: list[str]) -> None:
    for joint in ("&", ";", ""):
        raw = joint.join(parts)
        found, contradictory = read_query(raw)
        if not contradictory:
            values = {pair.partition("=")[2] for pair in raw.replace(";", "&").split("&") if pair.startswith("OrgId")}
            if all(pair in {"OrgId", "OrgId=a", "OrgId=b"} for pair in raw.replace(";", "&").split("&")):
                assert {found.get("OrgId", "")} == values
