"""Every limit of rules.md 2 at its value, one below and one above, in every form that a call can ride in."""

from __future__ import annotations

import json
from typing import Any

import pytest

from integration.calls.carriers import EVENTS, USERS, bundled
from integration.calls.rig import Rig, bundle_of, calls_of, compact, first, second

pytestmark = pytest.mark.asyncio(loop_scope="session")

KEPT = {"kept_int": 1}
KB512 = 512 * 1024


def long_name(length: int, suffix: str = "_str") -> str:
    return "n" * (length - len(suffix)) + suffix


def long_path(length: int) -> dict[str, Any]:
    """``a.bbb….c_str``, so many characters from the root."""
    return {"a": {"b" * (length - len("a..c_str")): {"c_str": "x"}}}


def json_list(size: int) -> list[str]:
    return ["x" * (size - 4)]


async def codes_of(rig: Rig, exchange: Any) -> list[tuple[str, str | None]]:
    if exchange.forwarded is None:
        return exchange.codes
    line = await rig.line_of(exchange)
    return [(each["code"], each.get("property")) for each in line.get("fsproxy.rejections", [])]


AT = [
    ("name below", {long_name(511): "x"}),
    ("name at", {long_name(512): "x"}),
    ("path below", long_path(511)),
    ("path at", long_path(512)),
    ("value below", {"a_str": "x" * 8191}),
    ("value at", {"a_str": "x" * 8192}),
    ("value in two-byte characters at", {"a_str": "é" * 4096}),
    ("value in four-byte characters at", {"a_str": "😀" * 2048}),
    ("list at", {"a_strs": json_list(8192)}),
    ("empty list", {"a_ints": []}),
    ("integers at", {"a_int": 2**63 - 1, "b_int": -(2**63), "c_int": 49.0}),
    ("depth at", None),
]
ABOVE = [
    # 513 also without the suffix, which apiVersion 2 and /v2 do not count.
    ("name", {long_name(517): "x"}, "PropertyNameTooLong"),
    ("path", long_path(517), "PropertyNameTooLong"),
    ("value", {"a_str": "x" * 8193}, "ValueTooBig"),
    ("two-byte characters", {"a_str": "é" * 4096 + "x"}, "ValueTooBig"),
    ("four-byte characters", {"a_str": "😀" * 2048 + "x"}, "ValueTooBig"),
    ("list", {"a_strs": json_list(8193)}, "ValueTooBig"),
    ("integer", {"a_int": 2**63}, "InvalidValue"),
    ("type", {"a_int": "1"}, "InvalidValue"),
    ("null", {"a_str": None}, "InvalidValue"),
    ("list where one belongs", {"a_int": [1]}, "ExpectedAtom"),
    ("letter", {"1a_str": "x"}, "InvalidPropertyName"),
    ("hyphen", {"a-b_str": "x"}, "InvalidPropertyName"),
    ("date", {"a_date": "2023-02-29"}, "InvalidValue"),
    ("date with an offset that is none", {"a_date": "2023-02-28T00:00:00+25:00"}, "InvalidValue"),
    ("null in a list", {"a_strs": ["x", None]}, "InvalidValue"),
]


def deep(levels: int) -> dict[str, Any]:
    found: dict[str, Any] = {"z_str": "x"}
    for _ in range(levels - 1):
        found = {"a": found}
    return found


@pytest.mark.parametrize("carrier", EVENTS)
async def test_an_event_at_its_limits_goes_on_byte_for_byte(rig: Rig, carrier: str) -> None:
    """In one call each, as the limits are judged apart: what is valid arrives whole."""
    for what, properties in AT:
        given = properties or deep(60)
        whole = {**given, **KEPT}
        got = await EVENTS[carrier](rig, "Bought", whole)
        assert got.exchange.status == 200, (what, got.exchange.body)
        assert "FSProxy-Rejected" not in got.exchange.headers, what
        assert got.left is not None
        assert len(got.left) == len(given) + 1, what
        assert (await codes_of(rig, got.exchange)) == [], what


@pytest.mark.parametrize("carrier", EVENTS)
async def test_an_events_property_above_its_limit_is_cut_and_the_rest_arrives(rig: Rig, carrier: str) -> None:
    for what, properties, code in ABOVE:
        got = await EVENTS[carrier](rig, "Bought", {"first_str": "a", **properties, **KEPT})
        assert got.exchange.status == 200, (what, got.exchange.body)
        assert got.left == ["first_str", "kept_int"], what
        assert got.exchange.headers.get("FSProxy-Rejected") == (None if bundled(carrier) else "1"), what
        assert [each for each, _ in await codes_of(rig, got.exchange)] == [code], what


@pytest.mark.parametrize("carrier", USERS)
async def test_a_users_property_above_its_limit_is_cut_and_the_rest_arrives(rig: Rig, carrier: str) -> None:
    for what, properties, code in ABOVE:
        got = await USERS[carrier](rig, "user", {"first_str": "a", **properties, **KEPT})
        assert got.exchange.status == 200, (what, got.exchange.body)
        assert got.left == ["first_str", "kept_int"], what
        assert [each for each, _ in await codes_of(rig, got.exchange)] == [code], what


@pytest.mark.parametrize("carrier", EVENTS)
@pytest.mark.parametrize(
    ("name", "passes"),
    [
        ("x", True),
        ("x" * 249, True),
        ("x" * 250, True),
        ("😀" * 250, True),
        (' "\\/\n\u0000 ', True),
        ("", False),
        ("x" * 251, False),
        ("é" * 251, False),
        (7, False),
        (None, False),
        (["a"], False),
    ],
    ids=repr,
)
async def test_event_names_have_1_to_250_characters(rig: Rig, carrier: str, name: Any, passes: bool) -> None:  # noqa: FBT001
    got = await EVENTS[carrier](rig, name, KEPT)
    if passes:
        assert got.left == ["kept_int"], got.exchange.body
        return
    assert got.left is None
    assert (await codes_of(rig, got.exchange)) == [("InvalidEventName", None)]
    assert got.exchange.status == (200 if carrier.startswith("bundle") or "batch" in carrier else 400)


RESERVED = {"displayName": 256, "email": 128, "acctId": 256, "website": 1024}


@pytest.mark.parametrize("carrier", USERS)
@pytest.mark.parametrize("name", RESERVED)
async def test_reserved_properties_have_lengths_of_their_own_in_characters(rig: Rig, carrier: str, name: str) -> None:
    limit = RESERVED[name]
    for value in ("", "é" * (limit - 1), "é" * limit):
        got = await USERS[carrier](rig, "user", {name: value, **KEPT})
        assert got.left == [name, "kept_int"]
    for value, code in (("é" * (limit + 1), "ValueTooBig"), (7, "InvalidValue"), (None, "InvalidValue")):
        got = await USERS[carrier](rig, "user", {name: value, **KEPT})
        assert got.left == ["kept_int"]
        assert (await codes_of(rig, got.exchange)) == [(code, name)]


@pytest.mark.parametrize("carrier", EVENTS)
async def test_in_events_the_reserved_names_are_like_any_other(rig: Rig, carrier: str) -> None:
    got = await EVENTS[carrier](rig, "Bought", {"email": "a@b.example", "displayName_str": "x"})
    inferring = carrier.startswith("v2") or "apiVersion 2" in carrier
    assert got.left == (["email", "displayName_str"] if inferring else ["displayName_str"])


@pytest.mark.parametrize("carrier", ["bundle 1", "bundle 2, gzip by query", "rec/event 2", "identify"])
async def test_uids_have_1_to_256_characters_and_are_no_placeholders(rig: Rig, carrier: str) -> None:
    for uid in ("a", "é" * 255, "é" * 256, "2"):
        got = await _identify(rig, carrier, uid)
        assert got.status == 200
        assert b"uid" in got.sent
    for uid in ("", "0", "NULL", "True", "N/A", "nan", "é" * 257, 7, None, ["a"]):
        got = await _identify(rig, carrier, uid)
        assert got.forwarded is None or not calls_of(got.sent), uid
        codes = await codes_of(rig, got)
        assert ("InvalidId", None) in codes, (uid, codes)
        assert got.status == (200 if carrier.startswith("bundle") else 400)


async def _identify(rig: Rig, carrier: str, uid: Any) -> Any:
    if carrier == "identify":
        return await rig.direct("identify", {"uid": uid})
    call = first("user", {"uid": uid}) if carrier == "bundle 1" else second("user", {"uid": uid}, {})
    path = "/rec/event" if carrier.startswith("rec") else "/rec/bundle/v2"
    return await rig.upload(bundle_of(call), path=path, zipped="query" if "gzip" in carrier else "")


def padded(properties: dict[str, Any], size: int) -> str:
    """JSON of so many bytes, nearly all of them white space."""
    text = compact(properties)
    return text[:-1] + " " * (size - len(text.encode())) + "}"


@pytest.mark.parametrize("generation", [1, 2])
@pytest.mark.parametrize("zipped", ["", "query", "header"])
@pytest.mark.parametrize("path", ["/rec/bundle", "/rec/bundle/v2", "/rec/event"])
async def test_a_bundled_calls_payload_may_be_512_kb(rig: Rig, generation: int, zipped: str, path: str) -> None:
    def call(size: int) -> dict[str, Any]:
        text = padded({"a_str": "é"} if generation == 1 else {"a": "é"}, size)
        return first("Bought", text) if generation == 1 else second("Bought", text, {"a": "str"})

    for size in (KB512 - 1, KB512):
        body = bundle_of(call(size))
        got = await rig.upload(body, zipped=zipped, path=path)
        assert got.status == 200
        assert got.sent == body
    both = bundle_of(call(KB512 + 1), first("Kept", KEPT))
    got = await rig.upload(both, zipped=zipped, path=path)
    assert got.status == 200
    assert [each["Args"][0] for each in calls_of(got.sent)] == ["Kept"]
    assert (await codes_of(rig, got)) == [("TooBigToParse", None)]
    alone = await rig.upload(bundle_of(call(KB512 + 1)), zipped=zipped, path=path)
    assert alone.status == (413 if path == "/rec/event" else 200)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("call", ["event", "identify", "setUserVars"])
async def test_a_direct_calls_body_may_be_512_kb_and_the_connection_stays(rig: Rig, call: str, zipped: bool) -> None:  # noqa: FBT001
    bodies = {"event": {"name": "Bought", "properties": KEPT}, "identify": {"uid": "u1"}, "setUserVars": KEPT}
    for size, status in ((KB512 - 1, 200), (KB512, 200), (KB512 + 1, 413), (KB512 * 2, 413), (100, 200)):
        body = padded(bodies[call], size).encode()
        before = rig.upstream.connections
        got = await rig.direct(call, body)
        assert got.status == status
        if status == 200:
            assert got.sent == body
        else:
            assert got.headers["Content-Type"] == "application/problem+json"
            assert got.codes == [("TooBigToParse", None)]
            assert got.headers["FSProxy-Rejected"] == "1"
            assert got.forwarded is None
        assert rig.upstream.connections >= before


@pytest.mark.parametrize("carrier", EVENTS)
async def test_the_first_5000_leaves_of_a_call_are_judged(rig: Rig, carrier: str) -> None:
    """An org can hold no more names; the rest is cut, and the call goes on."""
    got = await EVENTS[carrier](rig, "Bought", {f"p{n}_int": 1 for n in range(5000)})
    assert got.left is not None
    assert len(got.left) == 5000
    got = await EVENTS[carrier](rig, "Bought", {f"p{n}_int": 1 for n in range(5100)})
    assert got.left is not None
    assert [name.removesuffix("_int") for name in got.left] == [f"p{n}" for n in range(5000)]
    assert {code for code, _ in await codes_of(rig, got.exchange)} == {"CardinalityExceeded"}


@pytest.mark.parametrize(
    "text",
    [
        '{"a_int":NaN}',
        '{"a_int":1e999}',
        '{"a_int":1,"a_int":2}',
        "[]",
        "1",
        "",
        "{",
        '{"a":' * 65 + "{}" + "}" * 64,
    ],
    ids=lambda text: text[:20],
)
async def test_what_is_no_strict_json_object_is_no_call(rig: Rig, text: str) -> None:
    """In a bundle the call is cut, on direct and server routes the answer is 400."""
    got = await rig.upload(bundle_of(first("Bought", text), first("Kept", KEPT)))
    assert [each["Args"][0] for each in calls_of(got.sent)] == ["Kept"]
    assert (await codes_of(rig, got)) == [("InvalidJson", None)]
    for send in (
        await rig.direct("setUserVars", text.encode()),
        await rig.server("/users/v1/individual/u/customvars", text.encode()),
        await rig.upload(bundle_of(first("Bought", text)), path="/rec/event"),
    ):
        assert send.status == 400
        assert send.codes == [("InvalidJson", None)]
        assert send.forwarded is None
        assert json.loads(send.body)["status"] == 400
