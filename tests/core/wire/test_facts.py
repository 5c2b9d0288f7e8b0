from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.core.model import Encoding, Location, Route, SessionFacts
from fsproxy.core.wire.client_address import ClientAddress
from fsproxy.core.wire.facts import LONGEST_ID, BundleQuery, bundle_facts, bundle_query, page_facts
from fsproxy.core.wire.page import EMPTY_PAGE, PageBody
from tests.support.header_lines import lines
from tests.support.urls import of_url

CLIENT = ClientAddress(
    address=ip_address("198.51.100.7"),
    chain="198.51.100.7",
    trusted=False,
    dropped=False,
    proto="https",
    host="h.example",
    request_id=None,
)
UID = b"fs_uid=#o-1#user-1:session-1:1795287341564::1#f00c3c10#/1826823341"


def test_a_bundles_query_is_read() -> None:
    query = (
        "OrgId=o-TEST1-na1&UserId=8c65&SessionId=aa13&PageId=8bff&Seq=2&PageStart=1795288064506&PrevBundleTime=0"
        "&LastActivity=10&IsNewSession=true&ClientTime=1795288069506&DeltaT=-12.5&ContentEncoding=gzip"
        "&SkipResponseBody=true"
    )
    assert bundle_query(query) == BundleQuery(
        org_id="o-TEST1-na1",
        user_id="8c65",
        session_id="aa13",
        page_id="8bff",
        page_start=1795288064506,
        client_time=1795288069506,
        encoding=Encoding.GZIP,
    )


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", BundleQuery()),
        ("OrgId=a&OrgId=b", BundleQuery(org_id="a", contradictory=True)),
        ("Org%49d=a%2Db+c", BundleQuery(org_id="a-b c")),
        ("OrgId=%ff", BundleQuery(org_id="\ufffd")),
        ("Seq=-1&PageStart=nan&ClientTime=1_0&DeltaT=", BundleQuery()),
        ("Seq=\u0661&PageStart=1e999", BundleQuery()),
        ("ContentEncoding=br", BundleQuery(encoding=Encoding.UNKNOWN)),
        ("SessionId=" + "x" * (LONGEST_ID + 1), BundleQuery()),
        ("&".join(f"a{n}=1" for n in range(100)) + "&OrgId=o", BundleQuery(org_id="o")),
    ],
)
def test_odd_queries_give_what_they_hold(query: str, expected: BundleQuery) -> None:
    assert bundle_query(query) == expected


@settings(max_examples=150)
@given(st.text(max_size=60), st.binary(max_size=60))
def test_no_query_raises(text: str, raw: bytes) -> None:
    bundle_query(text)
    bundle_query("Seq=" + raw.decode("utf-8", "surrogateescape"))


def test_a_pages_facts() -> None:
    body = PageBody("o-1", "u", "s", "p", "https://a.example/", 1, "c", "2.0.0", "uid")
    headers = {
        b"origin": b"https://a.example",
        b"user-agent": b"Agent \xff",
        b"cookie": b"fs_optout=1",
        b"sec-gpc": b"1",
        b"dnt": b"0",
    }
    assert page_facts(body, lines(headers), CLIENT, Location("US"), "fresh") == SessionFacts(
        route=Route.PAGE,
        org="o-1",
        session_id="s",
        page_id="p",
        user_id="u",
        fresh_user_id="fresh",
        app_id="uid",
        **of_url("https://a.example/"),
        compiled_timestamp=1,
        compiled_version="c",
        snippet_version="2.0.0",
        origin="https://a.example",
        client_ip=ip_address("198.51.100.7"),
        user_agent="Agent \udcff",
        location=Location("US"),
        cookies="fs_optout=1",
        gpc=True,
    )


def test_nothing_is_known_of_a_page_that_cannot_be_read() -> None:
    assert page_facts(EMPTY_PAGE, lines({}), CLIENT) == SessionFacts(route=Route.PAGE, client_ip=CLIENT.address)


@pytest.mark.parametrize(
    ("body", "session"),
    [
        (PageBody("o-1", session_id="of-the-page"), "of-the-page"),
        (PageBody("o-1"), "session-1"),
        (PageBody("o-1", session_id=5), "session-1"),
        (PageBody("o-2"), ""),
        (EMPTY_PAGE, ""),
    ],
)
def test_a_session_is_the_pages_or_else_the_cookies_of_the_same_org(body: PageBody, session: str) -> None:
    assert page_facts(body, lines({b"cookie": b"a=1; " + UID}), CLIENT).session_id == session


def test_ids_of_a_wrong_type_are_missing() -> None:
    facts = page_facts(PageBody(5, ["u"], {}, 1, app_id=None), lines({}), CLIENT)
    assert (facts.org, facts.user_id, facts.session_id, facts.page_id, facts.app_id) == (None, "", "", "", "")


def test_a_bundles_facts_are_those_of_its_query_and_headers() -> None:
    query = BundleQuery(org_id="o-1", user_id="u", page_id="p")
    facts = bundle_facts(Route.BUNDLE, query, lines({b"cookie": UID, b"origin": b"null"}), CLIENT)
    assert (facts.route, facts.org, facts.user_id, facts.page_id) == (Route.BUNDLE, "o-1", "u", "p")
    assert (facts.session_id, facts.origin, facts.url) == ("session-1", "null", None)
    assert bundle_facts(Route.BUNDLE, BundleQuery(), lines({}), CLIENT).org is None


@pytest.mark.parametrize(
    ("name", "encoding"), [("", Encoding.IDENTITY), ("identity", Encoding.IDENTITY), ("GZIP", Encoding.UNKNOWN)]
)
def test_a_query_names_its_encoding_or_none(name: str, encoding: Encoding) -> None:
    assert bundle_query(f"ContentEncoding={name}").encoding is encoding


def test_a_number_of_a_query_is_as_long_as_one_may_be() -> None:
    assert bundle_query("PageStart=1" + "0" * 31).page_start == 1e31
    assert bundle_query("PageStart=1" + "0" * 32).page_start is None


def test_the_signals_are_the_ones_and_nothing_else() -> None:
    for gpc, dnt in ((True, False), (False, True), (True, True)):
        headers = {b"sec-gpc": b"1" if gpc else b"0", b"dnt": b"1" if dnt else b"true"}
        page = page_facts(EMPTY_PAGE, lines(headers), CLIENT)
        bundle = bundle_facts(Route.BUNDLE, bundle_query(""), lines(headers), CLIENT)
        assert (page.gpc, page.dnt) == (bundle.gpc, bundle.dnt) == (gpc, dnt)


def test_bytes_of_headers_that_are_not_utf8_are_kept() -> None:
    headers = lines(dict.fromkeys((b"origin", b"user-agent", b"cookie"), b"a=\xff"))
    for facts in (page_facts(EMPTY_PAGE, headers, CLIENT), bundle_facts(Route.EVENT, BundleQuery(), headers, CLIENT)):
        assert (facts.origin, facts.user_agent, facts.cookies) == ("a=\udcff", "a=\udcff", "a=\udcff")


@pytest.mark.parametrize(("length", "is_read"), [(256, True), (257, False)])
def test_an_id_over_256_characters_counts_as_missing_and_leaves_the_others(length: int, *, is_read: bool) -> None:
    long = "x" * length
    for place in range(4):
        ids = ["o", "u", "s", "p"]
        ids[place] = long
        query = bundle_query("OrgId={}&UserId={}&SessionId={}&PageId={}".format(*ids))
        page = page_facts(PageBody(*ids), lines({}), CLIENT)
        ids[place] = long if is_read else ""
        assert [query.org_id, query.user_id, query.session_id, query.page_id] == ids
        assert [page.org or "", page.user_id, page.session_id, page.page_id] == ids
