"""Bodies of every route, redacted: what is found, what is never touched, and that every other byte stays."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.core.client_api.reading.server_api import ServerCall
from fsproxy.core.client_api.redacted_calls import inspect_redacted
from fsproxy.core.model import Route
from fsproxy.core.redact.documents import redact_page
from fsproxy.core.redact.json_strings import Redactor
from fsproxy.core.redact.redaction import Found
from fsproxy.core.settings import ClientApiSettings
from fsproxy.core.wire.redacted_head import redacted_head
from support.call_samples import API, OPAQUE, SET_VARS, bundle, event, first, second, user
from support.redacting import KEY, body_of, redaction

ANN = "ann@example.com"
MASKED = "*" * len(ANN)
EMAIL = {"mask": "email", "in": ["properties", "urls"]}
STRINGS = {"mask": "email", "in": ["strings"]}
UID = {"hash": "regex:.+", "in": ["uid"]}


def redacted(body: bytes, *rules: dict[str, Any], route: Route = Route.BUNDLE, **more: Any) -> bytes:
    return body_of(redaction(*rules or (EMAIL,)), route, body, **more)[0]


# -- bundles


@pytest.mark.parametrize("times", [1, 2, 3, 4])
def test_json_inside_of_a_property_is_decoded_four_times(times: int) -> None:
    """The property itself is in a string that holds JSON, which is none of these times."""
    text = ANN.replace("@", "\\" * 2 ** (times - 1) + "u0040")
    assert redacted(bundle(first("Bought", {"to_str": text}))) == bundle(first("Bought", {"to_str": "*" * len(text)}))


@pytest.mark.parametrize(
    ("sent", "left"),
    [
        (first("Bought", {"to_str": ANN}), first("Bought", {"to_str": MASKED})),
        (first("Bought", {"to_strs": ["a", f"to {ANN}!"]}), first("Bought", {"to_strs": ["a", f"to {MASKED}!"]})),
        (first("Bought", {"a": {"b": {"to_str": ANN}}}), first("Bought", {"a": {"b": {"to_str": MASKED}}})),
        (second("Bought", {"to": ANN}, {"to": "str"}), second("Bought", {"to": MASKED}, {"to": "str"})),
        (second("Bought", {"to": ANN}, version=2), second("Bought", {"to": MASKED}, version=2)),
        (user({"email": ANN, "displayName": "Ann"}), user({"email": MASKED, "displayName": "Ann"})),
        (first("page", {"pageName": ANN}, 8193), first("page", {"pageName": MASKED}, 8193)),
        (
            event(8197, ["Bought", '{ "to_str" : "ann\\u0040example.com" , "b_str":"\\u00e9" }']),
            event(8197, ["Bought", f'{{ "to_str" : "{MASKED}" , "b_str":"\\u00e9" }}']),
        ),
        (
            '{"Kind":8197,"Args":["Bought","{\\"to_str\\":\\"ann\\\\u0040example.com\\"}"],"When":5}',
            f'{{"Kind":8197,"Args":["Bought","{{\\"to_str\\":\\"{MASKED}\\"}}"],"When":5}}',
        ),
        (
            first("Bought", {"a_str": f"https://x.example/?to={ANN.replace('@', '%40')}&b=%2B"}),
            first("Bought", {"a_str": f"https://x.example/?to={MASKED}**&b=%2B"}),
        ),
        (
            first("Bought", {"a_str": "https://x.example/?next=https%3A%2F%2Fy%2F%3Fto%3Dann%2540example.com"}),
            first("Bought", {"a_str": "https://x.example/?next=https%3A%2F%2Fy%2F%3Fto%3D" + MASKED + "****"}),
        ),
    ],
)  # fmt: skip
def test_properties_of_a_call(sent: str, left: str) -> None:
    whole = [*OPAQUE, API, "%s", SET_VARS, user({"n_int": 1}), *OPAQUE]
    at = whole.index("%s")
    assert redacted(bundle(*whole[:at], sent, *whole[at + 1 :])) == bundle(*whole[:at], left, *whole[at + 1 :])


@pytest.mark.parametrize(
    "kept",
    [
        first(ANN, {"a_str": "b"}),
        first("Bought", {"ann@example.com_str": "b"}),
        second("Bought", {"a": "b"}, {"a": ANN}),
        user({"uid": ANN}),
        event(8197, ["Bought", "{}", ANN]),
        event(2, [1, f"<p>{ANN}</p>"]),
        event(98, ["api", ANN]),
        first("Bought", {"a_str": "logo@2x.png", "b_str": "50%25 off"}),
    ],
)
def test_names_schemas_sources_uids_and_what_is_no_call_stay(kept: str) -> None:
    body = bundle(API, kept, first("Bought", {"to_str": "x"}))
    assert redacted(body) == body


def test_half_a_character_stays_and_counts_as_one() -> None:
    half = json.dumps({"a_str": f"\ud83d {ANN} 😀", "b_str": "\ud83d"})
    found = redacted(bundle(event(8197, ["Bought", half])), {"mask": "regex:ann.*", "in": ["properties"]})
    text = json.loads(found)["Evts"][0]["Args"][1]
    # The smile has two units of UTF-16.
    assert json.loads(text) == {"a_str": "\ud83d " + "*" * (len(ANN) + 3), "b_str": "\ud83d"}


def test_all_strings_of_a_recording_when_asked_for() -> None:
    sent = [event(2, ["x", [f"mail {ANN}"], {ANN: f"a\n{ANN}"}]), f'{{"Kind":99,"Args":["{ANN}"],"When":1}}']
    body = bundle(*sent, first(ANN, {"to_str": ANN}), *sent)
    left = [
        event(2, ["x", [f"mail {MASKED}"], {ANN: f"a\n{MASKED}"}]),
        f'{{"Kind":99,"Args":["{MASKED}"],"When":1}}',
    ]
    assert redacted(body, STRINGS) == bundle(*left, first(ANN, {"to_str": MASKED}), *left)
    assert redacted(bundle(*sent), STRINGS) == bundle(*left)
    assert redacted(bundle(*sent), EMAIL) == bundle(*sent)


def test_the_offsets_of_a_recording_stay_true() -> None:
    """JSON and URLs in a string are read, and masked letter by letter as they are written there."""
    inner = '{"to":"ann\\u0040example.com","next":"/?to=ann%40example.com"}'
    found = json.loads(redacted(bundle(event(2, [inner])), STRINGS))["Evts"][0]["Args"][0]
    assert found == '{"to":"********************","next":"/?to=*****************"}'
    assert len(found) == len(inner)


def test_exclude_removes_and_hash_keeps_equal_values_equal() -> None:
    body = bundle(first("A", {"a_str": f"{ANN}, {ANN}", "b_str": "ann%40example.com", "c_str": "bob@example.com"}))
    text = json.loads(redacted(body, {"exclude": "email"}))["Evts"][0]["Args"][1]
    assert json.loads(text) == {"a_str": ", ", "b_str": "", "c_str": ""}
    text = json.loads(redacted(body, {"hash": "email"}))["Evts"][0]["Args"][1]
    found = json.loads(text)
    first_one, second_one = found["a_str"].split(", ")
    assert first_one == second_one == found["b_str"] != found["c_str"]
    assert len(first_one) == 32
    assert first_one == redaction({"hash": "email"}).hashed(ANN)
    assert KEY not in text


def test_a_uid_is_only_hashed_and_only_where_asked_for() -> None:
    body = bundle(user({"uid": ANN, "email": ANN}), second("user", {"uid": ANN}, {"uid": "str"}, 8193))
    digest = redaction(UID).hashed(ANN)
    assert redacted(body, UID, EMAIL) == bundle(
        user({"uid": digest, "email": MASKED}), second("user", {"uid": MASKED}, {"uid": "str"}, 8193)
    )


def test_a_rule_in_shadow_mode_counts_alone() -> None:
    body = bundle(first("A", {"a_str": f"{ANN} 4111 1111 1111 1111"}))
    rules = redaction({**EMAIL, "mode": "shadow", "id": "mails"}, {"mask": "card", "mode": "off"})
    assert body_of(rules, Route.BUNDLE, body) == (body, {"mails": 1})
    rules = redaction({**EMAIL, "mode": "shadow"}, {"mask": "card"})
    assert body_of(rules, Route.BUNDLE, body) == (
        bundle(first("A", {"a_str": f"{ANN} {'*' * 19}"})),
        {"redact:mask:email": 1, "redact:mask:card": 1},
    )
    assert body_of(redaction(EMAIL, mode="shadow"), Route.BUNDLE, body) == (body, {"redact:mask:email": 1})


def test_what_overlaps_is_redacted_as_the_first_rule_says() -> None:
    body = bundle(first("A", {"a_str": f"<{ANN}>"}))
    rules = ({"exclude": "regex:<ann", "id": "a"}, {"mask": "email", "id": "b"})
    assert body_of(redaction(*rules), Route.BUNDLE, body) == (bundle(first("A", {"a_str": ">"})), {"a": 1, "b": 1})


# -- what cannot be read


@pytest.mark.parametrize("broken", ["{", "no JSON", '{"a_str":"\\x"}'])
def test_a_call_that_cannot_be_read_does_not_go_on(broken: str) -> None:
    """With the event that announces it."""
    call, other = event(8197, ["A", broken]), first("B", {"a_str": "x"})
    body = bundle(API, call, API, other)
    assert redacted(body) == bundle(API, other)
    rules = redaction(EMAIL, on_error="forward")
    assert body_of(rules, Route.BUNDLE, body)[0] == body
    assert redacted(body, {**EMAIL, "mode": "shadow"}) == body


@pytest.mark.parametrize("rest", [' {"a_str":"b"}', " x", "}"])
def test_a_direct_call_with_something_behind_it_cannot_be_read(rest: str) -> None:
    inspection = inspect_redacted(
        ClientApiSettings(), Route.DIRECT_EVENT, b'{"name":"A","properties":{}}' + rest.encode(), None, redaction(EMAIL)
    )
    assert inspection.uninspectable is not None


def test_a_line_end_in_a_string_is_no_fault_of_it() -> None:
    body = bundle('{"Kind":2,"Args":["a\n\tb","c\nann@example.com"]}')
    assert redacted(body, STRINGS) == bundle('{"Kind":2,"Args":["a\n\tb","c\\n***************"]}')


def test_a_string_that_cannot_be_read_is_lost() -> None:
    body = bundle(f'{{"Kind":2,"Args":["\\x41 {ANN}","b {ANN}"]}}')
    assert redacted(body, STRINGS) == bundle(f'{{"Kind":2,"Args":["","b {MASKED}"]}}')


def test_an_event_that_is_broken_by_what_is_redacted_is_redacted_all_the_same() -> None:
    """Half a character as bytes is no JSON. Without it, the event is none that we call a call."""
    body = bundle(event(8193, ["a scope of tomorrow", '{"a_str":"' + "@" + 'x"}'])).replace(b"@", b"\xed\xa0\xbd")
    left, found = body_of(redaction({"mask": r"regex:[^\x00-\x7f]x"}), Route.BUNDLE, body)
    assert found == {r"redact:mask:regex:[^\x00-\x7f]x": 1}
    assert left == bundle(event(8193, ["a scope of tomorrow", '{"a_str":"**"}']))


def test_calls_beyond_the_most_are_redacted_as_well() -> None:
    body = bundle(*[first("A", {"to_str": ANN})] * 3)
    left = body_of(redaction(EMAIL), Route.BUNDLE, body, settings=ClientApiSettings(max_calls=1))
    assert left == (bundle(*[first("A", {"to_str": MASKED})] * 3), {"redact:mask:email": 3})


def test_an_event_that_is_a_call_to_some_readers_is_redacted_for_all() -> None:
    body = bundle(f'{{"Kind":1,"Args":[2,"x"],"kind":8197,"ARGS":["A","{{\\"to_str\\":\\"{ANN}\\"}}"]}}')
    assert ANN.encode() not in redacted(body)


# -- with validation


def test_types_are_validated_on_the_original_values_and_sizes_afterwards() -> None:
    date, long = "2026-03-11", f"{'é' * 4000} {ANN} {'é' * 92}"
    body = bundle(first("A", {"a_date": date, "b_str": long, "c_int": "4", "d_str": "k"}))
    left, _ = body_of(redaction({"mask": "regex:2026|é+"}), Route.BUNDLE, body, cuts=True)
    text = json.loads(json.loads(left)["Evts"][0]["Args"][1])
    assert text == {"a_date": "****-03-11", "b_str": "*" * 4000 + f" {ANN} " + "*" * 92, "d_str": "k"}
    # A digest may be longer than what it replaces.
    body = bundle(first("A", {"a_str": "xy" * 4096, "b_str": "k"}))
    left, _ = body_of(redaction({"hash": "regex:^xy"}), Route.BUNDLE, body, cuts=True)
    assert json.loads(json.loads(left)["Evts"][0]["Args"][1]) == {"b_str": "k"}


def test_cuts_and_redactions_go_together() -> None:
    body = bundle(
        API, event(8197, ["", "{}"]), API, first("A", {"a_str": ANN, "b_int": ANN}), event(2, [ANN]), user({"uid": ""})
    )
    left, found = body_of(redaction(EMAIL, STRINGS), Route.BUNDLE, body, cuts=True)
    assert left == bundle(API, first("A", {"a_str": MASKED}), event(2, [MASKED]))
    assert found == {"redact:mask:email": 5}


# -- the other routes


CALLS = [
    (Route.DIRECT_EVENT, None, {"name": ANN, "properties": {"a_str": ANN}}, {"name": ANN, "properties": {"a_str": MASKED}}),
    (Route.DIRECT_EVENT, None, {"n": ANN, "p": {"a_str": ANN}}, {"n": ANN, "p": {"a_str": MASKED}}),
    (Route.DIRECT_IDENTIFY, None, {"uid": ANN, "email": ANN}, {"uid": "<hash>", "email": MASKED}),
    (Route.DIRECT_SET_USER_VARS, None, {"a": {"b_str": ANN}}, {"a": {"b_str": MASKED}}),
    (Route.SERVER_API, ServerCall.CUSTOM_VARS, {"a_str": ANN}, {"a_str": MASKED}),
    (
        Route.SERVER_API,
        ServerCall.CUSTOM_EVENT,
        {"event": {"event_name": ANN, "event_data": {"a_str": ANN}, "session_url": f"https://x.example/{ANN}"}},
        {"event": {"event_name": ANN, "event_data": {"a_str": MASKED}, "session_url": f"https://x.example/{ANN}"}},
    ),
    (
        Route.SERVER_API,
        ServerCall.EVENT,
        {"name": ANN, "user": {"uid": ANN, "id": ANN}, "session": {"id": ANN}, "properties": {"a": ANN}, "schema": {}},
        {"name": ANN, "user": {"uid": "<hash>", "id": ANN}, "session": {"id": ANN}, "properties": {"a": MASKED}, "schema": {}},
    ),
    (
        Route.SERVER_API,
        ServerCall.USER,
        {"uid": ANN, "display_name": ANN, "email": ANN, "properties": {"a": ANN}},
        {"uid": "<hash>", "display_name": MASKED, "email": MASKED, "properties": {"a": MASKED}},
    ),
    (
        Route.SERVER_API,
        ServerCall.USER_BATCH,
        {"requests": [{"uid": ANN, "email": ANN}, {"uid": "b"}], "webhook": ANN},
        {"requests": [{"uid": "<hash>", "email": MASKED}, {"uid": "<hash of b>"}], "webhook": ANN},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("route", "endpoint", "sent", "left"), CALLS)
def test_direct_and_server_calls(
    route: Route, endpoint: ServerCall | None, sent: dict[str, Any], left: dict[str, Any]
) -> None:
    rules = redaction(EMAIL, UID)
    expected = json.dumps(left).replace("<hash>", rules.hashed(ANN)).replace("<hash of b>", rules.hashed("b"))
    body = json.dumps(sent)
    assert body_of(rules, route, body.encode(), endpoint)[0] == expected.encode()


def test_what_surrounds_the_calls_of_a_server_is_redacted_with_all_strings() -> None:
    sent = {"name": "A", "context": {"browser": {"url": ANN}}, "session": {"id": ANN, "note": ANN}}
    left = {"name": "A", "context": {"browser": {"url": MASKED}}, "session": {"id": ANN, "note": MASKED}}
    rules = redaction(STRINGS)
    assert body_of(rules, Route.SERVER_API, json.dumps(sent).encode(), ServerCall.EVENT)[0] == json.dumps(left).encode()
    batch = {"requests": [sent], "webhook": ANN}
    found = body_of(rules, Route.SERVER_API, json.dumps(batch).encode(), ServerCall.EVENT_BATCH)[0]
    assert found == json.dumps({"requests": [left], "webhook": MASKED}).encode()


PAGE = {
    "OrgId": ANN,
    "UserId": ANN,
    "SessionId": ANN,
    "PageId": ANN,
    "Url": f"https://x.example/?to={ANN}#ann%40example.com",
    "Base": f"https://x.example/{ANN}",
    "Referrer": f"https://y.example/?a={ANN}",
    "Doctype": "<!DOCTYPE html>",
    "CompiledVersion": ANN,
    "AppId": ANN,
    "Title": ANN,
    "List": [ANN],
}


def test_a_page() -> None:
    body = json.dumps(PAGE).encode()
    redactor = Redactor(redaction(EMAIL, UID))
    urls = {
        "Url": f"https://x.example/?to={MASKED}#{MASKED}**",
        "Base": f"https://x.example/{MASKED}",
        "Referrer": f"https://y.example/?a={MASKED}",
        "AppId": redactor.rules.hashed(ANN),
    }
    assert redact_page(redactor, body) == json.dumps({**PAGE, **urls}).encode()
    strings = {**PAGE, **urls, "AppId": ANN, "Title": MASKED, "List": [MASKED]}
    assert redact_page(Redactor(redaction(STRINGS)), body) == json.dumps(strings).encode()
    properties = {"mask": "email", "in": ["properties"]}
    assert redact_page(Redactor(redaction(properties)), body) == body


# -- what holds for any body

TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from([ANN, f"<{ANN}>", "ann%40example.com", "4111 1111 1111 1111", "?token=a%20b", "203.0.113.9", "\ud83d", "😀"]),
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
RULES = [
    {"mask": each, "in": ["properties", "urls", "strings"]}
    for each in ("email", "card", "ip", "query:token", "regex:[xyz0-9]{3}")
]
ALL = redaction(*RULES)


def without_stars(old: Any, new: Any) -> bool:
    """Whether two values are of the same structure, with the same names, and strings of the same length."""
    if type(old) is not type(new):
        return False
    if isinstance(old, dict):
        return list(old) == list(new) and all(without_stars(old[name], new[name]) for name in old)
    if isinstance(old, list):
        return len(old) == len(new) and all(map(without_stars, old, new))
    if isinstance(old, str):
        units = [len(each.encode("utf-16-le", "surrogatepass")) for each in (old, new)]
        return units[0] == units[1] and (old == new or "*" in new)
    return bool(old == new)


def strings_in(value: Any) -> Iterator[str]:
    """The strings of a value, in order."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for each in value.values() if isinstance(value, dict) else value:
            yield from strings_in(each)


def masked(text: str) -> str:
    return ALL.redacted(text, ALL.in_url_property, Found())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=4), st.booleans())
def test_whatever_is_sent_keeps_its_structure_and_lengths(args: list[tuple[Any, Any]], ascii_only: bool) -> None:  # noqa: FBT001
    calls = [json.dumps({"Kind": 2, "Args": [opaque]}, ensure_ascii=True) for opaque, _ in args]
    calls += [
        json.dumps({"Kind": 8197, "Args": ["A", json.dumps({"a": value}, ensure_ascii=ascii_only)]})
        for _, value in args
    ]
    body = bundle(*calls)
    once, found = body_of(ALL, Route.BUNDLE, body)
    if not found:
        assert once == body
    old, new = json.loads(body), json.loads(once)
    assert len(old["Evts"]) == len(new["Evts"])
    for before, after in zip(old["Evts"], new["Evts"], strict=True):
        if before["Kind"] == 2:  # what each string by itself has, the search in the whole body has found
            assert list(map(masked, strings_in(before["Args"]))) == list(strings_in(after["Args"]))
        else:
            assert without_stars(json.loads(before["Args"].pop(1)), json.loads(after["Args"].pop(1)))
        assert without_stars(before, after)
    again, _ = body_of(ALL, Route.BUNDLE, once)
    assert again == once


# -- headers


def test_the_values_of_headers_but_not_of_those_that_say_how_a_message_is_handled() -> None:
    rules, found = redaction({"mask": "email", "in": ["headers"]}), Found()
    kept = b"POST /ann@example.com HTTP/1.1\r\nHost: ann@example.com\r\nSec-X: ann@example.com\r\nContent-Type: a"
    head = kept + b"\r\nUser-Agent: Mozilla/5.0 (ann@example.com)\r\nCookie: fs_uid=ann@example.com; a=ann@example.com"
    stars = MASKED.encode()
    left = kept + b"\r\nUser-Agent: Mozilla/5.0 (" + stars + b")\r\nCookie: fs_uid=ann@example.com; a=" + stars
    assert redacted_head(rules, head + b"\r\n\r\n", found) == left + b"\r\n\r\n"
    assert found == {0: 2}
    odd = kept + b"\r\nX: \xff ann%40example.com\r\n\r\n"
    assert redacted_head(rules, odd, found) == kept + b"\r\nX: \xff " + stars + b"**\r\n\r\n"
    assert redacted_head(redaction(STRINGS), head, found) is head


KEPT_HEADERS = (
    " Accept-Language Access-Control-Request-Headers Content-MD5 If-None-Match Proxy-X Sec-CH-UA X-B3-TraceId Host "
    "Origin Authorization Traceparent Tracestate B3 CDN-Loop Via Expect Range Date DNT Cache-Control Pragma Priority "
    "Max-Forwards Connection TE Upgrade Forwarded X-Real-IP X-Forwarded-For X-Request-Id"
)


def test_no_header_is_redacted_that_says_how_a_message_is_handled_or_which_it_is() -> None:
    rules = redaction({"mask": "email", "in": ["headers"]})
    for name in (KEPT_HEADERS + KEPT_HEADERS.upper()).split():
        head = f"GET / HTTP/1.1\r\n{name}: ann@example.com\r\n\r\n".encode()
        assert redacted_head(rules, head, Found()) == head, name
    for name in ("Referer", "User-Agent", "X-Own", "From", "Cookies", "Hosts", "X-Iff"):
        head = f"GET / HTTP/1.1\r\n{name}: ann@example.com\r\n\r\n".encode()
        assert redacted_head(rules, head, Found()) == head.replace(b"ann@example.com", MASKED.encode()), name
