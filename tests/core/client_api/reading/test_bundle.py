"""Calls found among a bundle's events, which are not read otherwise (wire.md 2 and 3)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.core.client_api.calls import Call, Typing
from fsproxy.core.client_api.reading.bundle import NO_CALLS, Bundle, Uninspectable, is_companion, read_bundle
from fsproxy.core.model import CallKind
from fsproxy.core.settings import ClientApiSettings, OnUninspectable
from support.call_samples import API, OPAQUE, bundle, compact, event, first, second, user

LIMIT = 512 * 1024
SETTINGS = ClientApiSettings(max_payload=LIMIT, max_calls=1_000_000)
THOROUGH = replace(SETTINGS, on_uninspectable=OnUninspectable.BLOCK)
GOOD = first("E", {"a_int": 1})


def read(body: bytes) -> Bundle:
    found = read_bundle(body, SETTINGS)
    assert isinstance(found, Bundle)
    return found


def calls(*events: str) -> list[Call]:
    return [each.call for each in read(bundle(*events)).calls]


def test_a_bundle_without_a_calls_number_is_not_split() -> None:
    assert read(bundle(*OPAQUE[:3])) is NO_CALLS


@pytest.mark.parametrize("opaque", OPAQUE)
def test_events_that_only_mention_a_calls_number_are_opaque(opaque: str) -> None:
    assert calls(opaque, '{"Kind":57,"Args":[8197],"When":1}') == []


@pytest.mark.parametrize("surrogate", [True, False], ids=["scanned", "decoded"])
def test_calls_are_found_among_opaque_events(*, surrogate: bool) -> None:
    opaque = OPAQUE if surrogate else [each for each in OPAQUE if "ud83d" not in each]
    events = [*opaque, API, first("Bought", {"price_real": 9.5}), *opaque, user({"uid": "ada"}), opaque[0]]
    body = bundle(*events)
    found = read(body)
    assert [body[start:end].decode() for start, end in found.events] == events
    assert [(each.index, each.call.kind, each.when) for each in found.calls] == [
        (len(opaque) + 1, CallKind.EVENT, 5),
        (2 * len(opaque) + 2, CallKind.IDENTIFY, 5),
    ]
    assert found.calls[0].args == b'["Bought","{\\"price_real\\":9.5}"]'


@pytest.mark.parametrize(
    "body",
    [
        b' {"Evts" : [ %s , 5 ] } ',
        b'{"Evts":[%s],"Seq":1}',
        b'{"Other":{"Evts":[5]},"When":1,"Evts":[\n%s\n]}',
        b'{"\\u0045vts":[%s]}',
        b'{"Seq":"\xff","Evts":["\\ud800",%s]}',
    ],
)
def test_bundles_of_other_spellings_are_read_too(body: bytes) -> None:
    assert [each.call.name for each in read(body % first("E", {}).encode()).calls] == ["E"]


@pytest.mark.parametrize(
    "call",
    [
        '{"When":5,"Kind":8197,"Args":["E","{}"]}',
        '{ "Kind" : 8197 ,\n"Args" : [ "E" , "{}" ] }',
        '{"\\u004bind":8197,"Args":["E","{}"],"When":5}',
        '{"Kind":8197,"Args":["\\u0045","{}"],"When":5,"Extra":{"Kind":1}}',
    ],
)
def test_a_call_may_be_spelled_in_any_way_that_json_allows(call: str) -> None:
    assert [(each.kind, each.name, each.breaches) for each in calls(call)] == [(CallKind.EVENT, "E", ())]


@pytest.mark.parametrize(
    "number", ['"8197"', "81970", "-8197", "true", "[8197]", "8197.5", "8.197", "8197e1", "0.8197"]
)
def test_other_numbers_are_no_kind_of_a_call(number: str) -> None:
    assert calls(f'{{"Kind":{number},"Args":["E","{{}}"]}}', OPAQUE[-1]) == []


ODD_NUMBERS = [
    "8.197e3", "8197.0", "8197e0", "8197E+0", "81.97e2", "819.7E+01", "819700e-2", "0.8197e4", "8197.0000",
    "0.00000000000000000000000000000000000000000000000000000000000000000000000008197e77", "8196.99999999999999",
    "8197" + "." + "0" * 100,
]  # fmt: skip


@pytest.mark.parametrize("number", ODD_NUMBERS)
@pytest.mark.parametrize("name", ["Kind", "kind"])
def test_a_kind_is_a_number_however_it_is_written(number: str, name: str) -> None:
    assert [(each.kind, each.name) for each in calls(f'{{"{name}":{number},"Args":["E","{{}}"],"When":1}}')] == [
        (CallKind.EVENT, "E")
    ]


K_OF_KELVIN, LONG_S = "\u212a", "\u017f"


@pytest.mark.parametrize(
    ("event", "names"),
    [
        ('{"kind":8197,"Args":["E","{}"],"When":1}', ["E"]),
        ('{"Kind":8197,"args":["E","{}"],"When":1}', [None, "E"]),
        ('{"Kind":8197,"Args":["E","{}"],"ARGS":["F","{}"],"When":1}', ["E", "F"]),
        ('{"Kind":57,"kind":8197,"Args":["E","{}"],"When":1}', ["E"]),
        ('{"Kind":8197,"kind":57,"Args":["E","{}"],"When":1}', ["E"]),
        ('{"Kind":8197,"Args":["E","{}"],"When":1,"when":2}', ["E", "E"]),
        ('{"\\u006bind":8197,"Args":["E","{}"],"When":1}', ["E"]),
        (f'{{"{K_OF_KELVIN}ind":8197,"Args":["E","{{}}"],"When":1}}', ["E"]),
        (f'{{"Kind":8197,"Arg{LONG_S}":["E","{{}}"],"When":1}}', [None, "E"]),
        ('{"\\u212aind":8197,"Args":["E","{}"],"When":1}', ["E"]),
    ],
)
def test_an_event_with_a_name_in_other_letters_is_read_both_ways(event: str, names: list[str | None]) -> None:
    found = calls(event)
    assert [each.name for each in found] == names
    assert all(each.is_whole for each in found)


@pytest.mark.parametrize(
    "event",
    [
        '{"Kind":8197,"Args":["E","{}"],"When":1,"Extra":{"kind":1,"args":[],"when":2}}',
        '{"Kind":8197,"Args":["kind","{\\"args\\":1}"],"When":1}',
        '{"Kind":8197,"Args":["E","{}"],"When":1,"Kinds":5,"KIN":4}',
        '{"ARGS":["F","{}"],"Kind":8197,"Args":["E","{}"],"When":1}',
        '{"kind":57,"Kind":8197,"Args":["E","{}"],"When":1}',
    ],
)
def test_names_that_mislead_no_reader_change_nothing(event: str) -> None:
    (found,) = calls(event)
    assert not found.is_whole


@pytest.mark.parametrize(
    "call",
    [
        '{"Kind":8197,"Kind":57,"Args":["E","{}"]}',
        '{"Kind":57,"Kind":8197,"Args":["E","{}"]}',
        '{"Kind":8197,"Args":["E","{}"],"Args":[]}',
        '{"Kind":8197,"Args":[1e999]}',
        '{"Kind":8197,"Args":' + "[" * 3000 + "]" * 3000 + "}",
        '{"Kind":8197,"Args":{}}',
        '{"Kind":8197}',
        '{"Kind":8197,"Args":["E"]}',
        '{"Kind":8197,"Args":["E",{}]}',
        '{"Kind":8197,"Args":["E","[]"]}',
        '{"Kind":8197,"Args":["E","{}",null,"1","{}"]}',
        '{"Kind":8197,"Args":["E","{}",null,1,"{"]}',
        '{"Kind":8197,"Args":["E","{}",null,1,{}]}',
        '{"Kind":8193,"Args":[5,"{}"]}',
        '{"Kind":8193,"Args":["user","{"]}',
    ],
)
def test_a_call_that_is_not_strict_json_is_still_a_call(call: str) -> None:
    [found] = calls(OPAQUE[0], call)
    assert [each.code.value for each in found.breaches] == ["InvalidJson"]


@pytest.mark.parametrize(
    ("event", "whens"),
    [
        ('{"Kind":8197,"When":5,"Args":["E","{}"]}', [5]),
        ('{"Kind":8197,"Args":["E","{}"],"When":5}', [5]),
        ('{"Kind":8197,"Args":["E","{}"],"X":["]}"],"When":5}', [5]),
        ('{"Kind":8197,"When":5,"Args":["E","{}"],"X":[1]}', [5]),
        ('{"Kind":8197,"When":05,"Args":["E","{}"]}', [None]),
        ('{"Kind":8197,"When":5,"Args":["E","{}"],"When":6}', [None]),
        ('{"Kind":8197,"When":5,"Args":["E","{}"],"Args":["F","{}"]}', [None]),
    ],
)
def test_a_call_as_recorders_write_it_is_read_as_any_other_is(event: str, whens: list[int | None]) -> None:
    found = read(b'{"Evts":[%b]}' % event.encode())
    assert [each.when for each in found.calls] == whens
    assert [bool(each.call.breaches) for each in found.calls] == [when is None for when in whens]


def test_invalid_utf8_in_a_call_is_its_fault_and_in_an_opaque_event_nobodys() -> None:
    body = b'{"Seq":1,"When":1,"Evts":[{"Kind":57,"Args":["\xff"]},{"Kind":8197,"Args":["\xff","{}"],"When":1}]}'
    assert [each.call.breaches[0].detail for each in read(body).calls] == ["not UTF-8"]


def test_both_generations_and_both_versions_are_told_apart() -> None:
    found = calls(
        first("E", {"a_str": "x"}),
        event(8197, ["E", '{"a_str":"x"}', "segment"]),
        second("E", {"a": "x"}, {"a": "str"}),
        second("E", {"a": "x"}, version=2),
        second("E", {"a": "x"}, version=3),
        event(8197, ["E", "{}", None, None, None]),
    )
    assert [each.typing for each in found] == [
        Typing.SUFFIX,
        Typing.SUFFIX,
        Typing.SCHEMA,
        Typing.INFERRED,
        Typing.INFERRED,
        Typing.SUFFIX,
    ]
    assert found[2].schema == {"a": "str"}


def test_scopes_make_kinds() -> None:
    found = calls(
        user({"uid": "ada"}),
        user({"uid": "ada", "a_str": "x"}),
        user({"a_str": "x"}),
        user({}),
        second("user", {"uid": "ada"}, {"uid": "str"}, 8193),
        second("user", {"uid": "ada"}, {"uid": "str"}, 8193, 2),
        first("page", {}, 8193),
        first("document", {}, 8193),
        first("another", {}, 8193),
        event(8196, [True, 1]),
    )
    assert [each.kind for each in found] == [
        CallKind.IDENTIFY,
        CallKind.SET_USER_VARS,
        CallKind.SET_USER_VARS,
        CallKind.SET_USER_VARS,
        CallKind.SET_USER_VARS,
        CallKind.IDENTIFY,
        CallKind.PAGE,
        CallKind.DOCUMENT,
    ]


@pytest.mark.parametrize("size", [LIMIT - 1, LIMIT, LIMIT + 1])
@pytest.mark.parametrize("filler", ["x", "é", "\n"])
def test_the_payload_is_the_utf8_of_the_decoded_text(size: int, filler: str) -> None:
    empty = len(compact({"a_str": ""}).encode())
    width = len(compact(filler).encode()) - 2
    count, rest = divmod(size - empty, width)
    [found] = calls(first("E", {"a_str": filler * count + "x" * rest}))
    assert [each.code.value for each in found.breaches] == (["TooBigToParse"] if size > LIMIT else [])


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", Uninspectable.BROKEN),
        (b"8197", Uninspectable.BROKEN),
        (b'[{"Kind":8197}]', Uninspectable.BROKEN),
        (b'{"Evts":[8197]', Uninspectable.BROKEN),
        (b'{"Evts":[8197]}x', Uninspectable.BROKEN),
        (b'{"Evts":[{"Kind":8197},]}', Uninspectable.BROKEN),
        (b'{"Seq":8197}', Uninspectable.NOT_A_BUNDLE),
        (b'{"Evts":{"a":8197}}', Uninspectable.NOT_A_BUNDLE),
        (b'{"Evts":{"Kind":8197},"evts":5}', Uninspectable.NOT_A_BUNDLE),
        (b"no call's number", Uninspectable.BROKEN),
        (b"{}", Uninspectable.NOT_A_BUNDLE),
    ],
)
def test_what_is_no_bundle_says_why(body: bytes, why: Uninspectable) -> None:
    assert read_bundle(body, SETTINGS) is why


def test_a_bundle_without_a_calls_number_is_split_when_thorough() -> None:
    broken = b'{"Seq":1,"Evts":[{"a":]}'
    assert read_bundle(broken, SETTINGS) is NO_CALLS
    assert read_bundle(broken, THOROUGH) is Uninspectable.BROKEN
    found = read_bundle(bundle(OPAQUE[0]), THOROUGH)
    assert isinstance(found, Bundle)
    assert (list(found.events), found.calls) == ([(26, 26 + len(OPAQUE[0]))], [])


def test_companions() -> None:
    assert is_companion(API.encode())
    assert is_companion(b'{ "When":1,"Args":["api"],"Kind":98}')
    for other in (
        b'{"Kind":98,"Args":["default"]}',
        b'{"Kind":98}',
        b'{"Kind":57,"Args":["api"]}',
        b"5",
        b'{"Kind":98,"Args":["api","\\ud800"]',
    ):
        assert not is_companion(other)


@settings(max_examples=200)
@given(
    st.binary(max_size=80)
    | st.lists(
        st.sampled_from(
            [
                '{"Evts":[',
                '{"Seq":1,"Evts":[',
                '{"Kind":8197,',
                '"Args":[',
                '"E"',
                '"{}"',
                ",",
                "]",
                "}",
                "]}",
                "8193",
                "\\ud800",
                " ",
                '"',
                ":",
                "8197",
            ]
        ),
        max_size=25,
    ).map(lambda parts: "".join(parts).encode())
)
def test_any_bytes_are_a_bundle_or_not(body: bytes) -> None:
    found = read_bundle(body, SETTINGS)
    assert isinstance(found, (Bundle, Uninspectable))


@pytest.mark.parametrize("around", ["", " "])
@pytest.mark.parametrize("nested", [False, True])
def test_a_bundle_that_is_read_in_parts_has_the_same_events(around: str, nested: bool) -> None:  # noqa: FBT001 - pytest's
    """Whatever stands where the parts are cut: a nested list of events, or white space, goes to the scanner."""
    inner = [{"Kind": 2, "Args": [], "When": n} for n in range(3)]
    opaque = [compact({"Kind": 2, "Args": inner if nested else ["x" * 900], "When": n}) for n in range(4000)]
    events = [*opaque[:2000], first("E", {"a_str": "x"}), *opaque[2000:], first("F", {"a_str": "x"})]
    body = f'{{"Seq":1,"When":1,"Evts":[{f",{around}".join(events)}]}}'.encode()
    found = read_bundle(body, SETTINGS)
    assert isinstance(found, Bundle)
    assert [body[start:end].decode() for start, end in found.events] == events
    assert [(each.index, each.call.name) for each in found.calls] == [(2000, "E"), (4001, "F")]


def test_what_is_broken_in_any_part_is_broken() -> None:
    events = [compact({"Kind": 2, "Args": ["x" * 900], "When": n}) for n in range(600)]
    for place in (0, 300, 599):
        wrong = [*events[:place], '{"Kind":8197} {"Kind":2}', *events[place:]]
        assert read_bundle(bundle(*wrong), SETTINGS) is Uninspectable.BROKEN


@pytest.mark.parametrize("number", ["8197", "8193"])
@pytest.mark.parametrize("count", [1, 15, 16, 17, 3000])
def test_every_call_is_found_however_many_there_are(number: str, count: int) -> None:
    call = first("E" if number == "8197" else "user", {"a_str": "8197:8193 "}, int(number))
    found = read_bundle(bundle(*[OPAQUE[0], call, OPAQUE[1]] * count), SETTINGS)
    assert isinstance(found, Bundle)
    assert [each.index for each in found.calls] == list(range(1, 3 * count, 3))


@pytest.mark.parametrize(
    "text", ['"Kind" : 8197', '"Kind":\t8197\n', '"Kind":8197 ', '"\\u004bind":8197', '"When":1,"Kind":8197']
)
def test_a_number_is_found_however_it_is_written_beside_its_name(text: str) -> None:
    event = f'{{{text},"Args":["E","{{}}"]}}'
    found = read_bundle(bundle(event), SETTINGS)
    assert isinstance(found, Bundle)
    assert [each.call.name for each in found.calls] == ["E"]


@pytest.mark.parametrize("value", ["81970", "18197", "8197.5", "8197e1", '"8197"', "[8197]", "-8197", "8.197e2"])
def test_digits_that_are_no_value_of_a_call_are_not_looked_at(value: str) -> None:
    found = read_bundle(bundle(f'{{"Kind":{value},"Args":["E","{{}}"]}}'), SETTINGS)
    assert isinstance(found, Bundle)
    assert found.calls == []


@pytest.mark.parametrize(
    "opaque",
    ["[1, 8197 ]", '{"x" 8197 }', '{"x": 8197 1}', '{"Kind":{}, "x" 8197 }', '[{"Kind": 8197 }]', '{"Other": 8197 }'],
)
def test_what_is_no_event_may_hold_a_calls_number_as_a_value(opaque: str) -> None:
    """Not all of it is JSON: the bundle is split by brackets and strings alone."""
    found = read(bundle(opaque, first("E", {})))
    assert [each.index for each in found.calls] == [1]


@pytest.mark.parametrize("name", ["Kind", "Args", "When"])
def test_a_call_with_a_member_twice_is_broken(name: str) -> None:
    members = {"Kind": "8197", "Args": '["E","{}"]', "When": "5"}
    written = [f'"{each}":{value}' for each, value in members.items()]
    for again in (f'"{name}":{members[name]}', f'"{name}":1'):
        for order in ([again, *written], [*written, again]):
            (call,) = calls("{" + ",".join(order) + "}")
            assert [each.detail for each in call.breaches] == ["the same name twice in one object"]


def test_of_calls_beyond_the_most_the_kind_alone_is_read() -> None:
    rest = [OPAQUE[0], user({}), '{"Kind":57,"Args":[ 8197 ],"When":1}', first("page", {}, 8193), first("E", {})]
    found = read_bundle(bundle(GOOD, *rest), replace(SETTINGS, max_calls=1))
    assert isinstance(found, Bundle)
    assert [each.index for each in found.calls] == [0]
    assert found.surplus == {2: CallKind.SET_USER_VARS, 4: CallKind.SET_USER_VARS, 5: CallKind.EVENT}


def test_the_words_for_what_cannot_be_judged_are_those_of_the_documents() -> None:
    assert [str(each) for each in Uninspectable] == [
        "not a JSON object with a list named Evts",
        "not JSON",
        "not to be redacted",
    ]
