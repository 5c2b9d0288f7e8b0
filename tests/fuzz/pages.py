"""Page requests: a body and header lines, read into facts and judged by every filter (wire.md 1, rules.md 1)."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, Never

import msgspec

from fsproxy.config.loader import load_text
from fsproxy.core.model import Encoding, Instant, Location, Route, SessionFacts
from fsproxy.core.pipeline import judge
from fsproxy.core.policy import Snapshot
from fsproxy.core.wire.client_address import ClientAddress, ClientAddresses
from fsproxy.core.wire.facts import LONGEST_ID, bundle_facts, bundle_query, page_facts
from fsproxy.core.wire.header_values import Headers, index
from fsproxy.core.wire.page import EMPTY_PAGE, PageBody, read_page, read_page_answer
from fuzz.harness import Target

NOW = Instant(1_795_287_341.0)
BETWEEN = b"\n--\n"
"""Body, header lines, query: three parts of one input."""
CONFIG = """
upstream: {url: http://127.0.0.1:9}
orgs: {unlisted: block, listed: {o-1: {}, o-2: {enabled: false}, o-3: {mobile: false, filters: {url: {match_origin: true}}}}}
filters:
  on_bundles: [ip, user_agent, domain, deleting_user, blocked_user]
  script: {min_compiled: 2022-08-03, require: true, blocked_versions: [bad]}
  url: {schemes: [http, https], max_length: 200}
  domain: {otherwise: block, rules: [{block: "*.bad.example"}, {capture: "*.example"}, {capture: localhost}]}
  ip: {block: [10.0.0.0/8, 192.168.*.7], allow: [10.1.1.1]}
  user_agent: {block: [YandexBot, "regex:Headless.{1,9}"], allow: [Good], block_missing: true}
  geo: {never: [CA, US-CA, EU]}
  opt_out: {cookies: [fs_optout=1, out], gpc: true, dnt: true}
  deleting_user: {block: [gone]}
  blocked_user: {block: [shunned]}
  ramping: {share: 50%}
  quota: {sessions: 10}
"""


@cache
def snapshot() -> Snapshot:
    """Every filter has something to say."""
    return Snapshot.compile(load_text(CONFIG, "f.yaml", {}, Path("/nonexistent")).core, 1)


def check_page(data: bytes) -> None:
    """Any page gives facts of the right types, the same verdict each time, and no filter fails."""
    body, _, rest = data.partition(BETWEEN)
    raw, _, query = rest.partition(BETWEEN)
    headers = index(tuple((line.partition(b": ")[0], line.partition(b": ")[2]) for line in raw.split(b"\n") if line))
    client = ClientAddresses.compile((), "x-forwarded-for").resolve("10.1.2.3", headers)
    page = read_page(body)
    _as_json_reads_it(body, page)
    location = Location("US", "US-CA") if len(data) % 2 else None
    _judged(page_facts(page or EMPTY_PAGE, headers, client, location, "fresh"))
    _of_a_bundle(query.decode("latin-1"), headers, client)
    read_page_answer(200, body, "gzip" if len(data) % 3 == 0 else "")


def _of_a_bundle(query: str, headers: Headers, client: ClientAddress) -> None:
    read = bundle_query(query)
    assert isinstance(read.encoding, Encoding)
    assert all(each is None or abs(each) < float("inf") for each in (read.page_start, read.client_time))
    _judged(msgspec.structs.replace(bundle_facts(Route.BUNDLE, read, headers, client), app_id="gone"))


def _judged(facts: SessionFacts) -> None:
    for text in (facts.session_id, facts.page_id, facts.user_id, facts.app_id, facts.org or ""):
        assert type(text) is str
        assert len(text) <= LONGEST_ID
    policy = snapshot().policy(facts.org)
    verdict = judge(policy, facts, NOW, "token")
    assert verdict == judge(policy, facts, NOW, "token")
    # A filter that raises is survived, and noted here: it must not come to that.
    assert not verdict.failed


def _as_json_reads_it(body: bytes, page: PageBody | None) -> None:
    """Beside the standard library: the same bodies are pages, and the fields are the same."""
    try:
        found: Any = json.loads(body.decode(), parse_constant=_never)
    except RecursionError:
        return
    except ValueError:
        found = None
    if not isinstance(found, dict):
        assert page is None
        return
    assert page is not None
    fields = zip(PageBody.__struct_fields__, PageBody.__struct_encode_fields__, strict=True)
    for ours, theirs in fields:
        value = found.get(theirs)
        if isinstance(value, str) and value.isprintable():
            assert getattr(page, ours) == value
        elif value is None or isinstance(value, bool):
            assert getattr(page, ours) is value


def _never(_: str) -> Never:
    raise ValueError


_PAGE = (
    b'{"OrgId":"o-1","UserId":"","SessionId":"6f1f2b7e-52a4","PageId":"9d0a","Url":"https://app.example/","Base":"x",'
    b'"Width":1280,"SnippetVersion":"2.0.0","Referrer":"","Preroll":207,"CompiledVersion":"c99041d728",'
    b'"CompiledTimestamp":1661778047,"AppId":"gone"}'
)
_HEADERS = (
    b"User-Agent: Mozilla/5.0 (X11) HeadlessChrome/156\nOrigin: https://app.example\nCookie: fs_uid=#o-1#u:s:1::2##/9; "
    b"fs_optout=1\nSec-GPC: 1\nDNT: 0\nX-Forwarded-For: 10.0.0.1"
)
_QUERY = (
    b"OrgId=o-1&UserId=u&SessionId=s&PageId=p&Seq=1&PageStart=1795287341554&ClientTime=1795287346554.5"
    b"&ContentEncoding=gzip&SkipResponseBody=true&DeltaT=12"
)

PAGES = Target(
    "pages",
    check_page,
    seeds=(
        BETWEEN.join((_PAGE, _HEADERS, _QUERY)),
        BETWEEN.join(
            (b'{"OrgId":"o-3","Url":"https://\\ud83d.bad.example:443/","CompiledTimestamp":"1e3"}', _HEADERS, b"")
        ),
        BETWEEN.join((b'{"OrgId":["o-2"],"Url":null,"UserId":1e999,"SessionId":{"a":[[]]}}', b"", _QUERY)),
        BETWEEN.join((b'{"UserUUID":"u","SessionUUID":"s","IsNewSession":true,"reason_code":8}', _HEADERS, _QUERY)),
    ),
    tokens=(
        *(b'"OrgId":', b'"o-1"', b'"o-2"', b'"o-3"', b'"Url":', b'"https://x.example"', b'"AppId":"shunned",', b"null"),
        *(b"true", b"{", b"}", b"[", b"]", b'"', b"\\ud800", b"\\u0000", b"NaN", b"1e400", b"-0", b"9" * 50),
        *(b"Cookie: ", b"fs_uid=", b"%23", b"#", b"&Seq=", b"=", b"&", b"%", b"+", BETWEEN, b"Origin: null\n"),
    ),
    inputs=3000,
)
