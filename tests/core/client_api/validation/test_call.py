"""One call, judged: every limit at, below and above; all rejections in order of appearance (rules.md 2)."""

from __future__ import annotations

from typing import Any

import pytest

from fsproxy.core.client_api.calls import Call, Typing, ValidatedCall
from fsproxy.core.client_api.validation.call import refuse, validate_call
from fsproxy.core.limits.operations import NameKind
from fsproxy.core.model import CallKind
from fsproxy.core.reasons import RejectionCode
from fsproxy.core.settings import ClientApiSettings

SETTINGS = ClientApiSettings()
USER, EVENT = CallKind.SET_USER_VARS, CallKind.EVENT


def call(properties: dict[str, Any], kind: CallKind = USER, **more: Any) -> Call:
    return Call(kind=kind, properties=properties, **({"name": "E"} if kind is EVENT else {}) | more)


def found(judged: ValidatedCall) -> list[tuple[str, str | None]]:
    return [(each.code.value, each.property) for each in judged.rejections]


def judged(properties: dict[str, Any], kind: CallKind = USER, **more: Any) -> list[tuple[str, str | None]]:
    return found(validate_call(call(properties, kind, **more), SETTINGS))


def nest(path: str, value: Any) -> dict[str, Any]:
    head, dot, rest = path.partition(".")
    return {head: nest(rest, value) if dot else value}


def test_first_generation_vars_like_a_recorder_sends() -> None:
    """Worked out by hand from rules.md 2, for every property of the call."""
    properties = {
        "pets_int": 2,
        "noSuffix_str": "x",
        "bad_foo": "x",
        "plain": "x",
        "sp ace_str": "v",
        "0": "n",
        "nul_str": None,
        "wrong_int": "notint",
        "float_int": 1.5,
        "whole_int": 49.0,
        "nan_real": None,
        "badwhen_date": "not a date",
        "dates_dates": ["1970-01-01T00:00:00.000Z", "2024-01-01"],
        "flag_bool": "true",
        "arr_str": ["a"],
        "items_strs": ["a", 1, None],
        "nested": {"a_int": 1, "b": {"c_str": "z", "d_int": "x"}},
        "list_objs": [{"k_str": "v"}],
        "uni_str": "é😀",
        "email": 5,
        "displayName": "X",
        "displayName_str": "Y",
    }
    result = validate_call(call(properties), SETTINGS)
    assert found(result) == [
        ("InvalidPropertyType", "bad_foo"),
        ("MissingPropertyType", "plain"),
        ("InvalidPropertyName", "sp ace_str"),
        ("InvalidPropertyName", "0"),
        ("InvalidValue", "nul_str"),
        ("InvalidValue", "wrong_int"),
        ("InvalidValue", "float_int"),
        ("InvalidValue", "nan_real"),
        ("InvalidValue", "badwhen_date"),
        ("InvalidValue", "flag_bool"),
        ("ExpectedAtom", "arr_str"),
        ("InvalidValue", "items_strs"),
        ("InvalidValue", "nested.b.d_int"),
        ("ExpectedAtom", "list_objs"),
        ("InvalidValue", "email"),
    ]
    assert result.names == (
        "pets_int",
        "noSuffix_str",
        "whole_int",
        "dates_dates",
        "nested.a_int",
        "nested.b.c_str",
        "uni_str",
        "displayName_str",
    )
    assert ("nested", "b", "d_int") in result.cuts


def test_second_generation_vars_like_a_recorder_sends() -> None:
    """Worked out by hand: what the first generation says in a suffix, apiVersion 1 says in the schema."""
    properties = {
        "pets": 2,
        "noSuffix": "x",
        "dash-name": "v",
        "nul": None,
        "wrong": "notint",
        "arr": ["a"],
        "items": ["a", 1, None],
        "nested": {"a": 1, "b": {"c": "z", "d": 1}},
        "list": [{"k": "v"}],
        "acctId": "acc1",
        "email": 5,
        "displayName": "X",
        "website": "y",
        "odd": 1,
        "number": 2,
    }
    schema = {
        "pets": "int",
        "dash-name": "str",
        "nul": "str",
        "fn": "str",
        "wrong": "int",
        "arr": "str",
        "items": "strs",
        "nested": {"a": "int", "b": {"c": "str"}},
        "list": [{"k": "str"}],
        "website": "str",
        "odd": "objs",
        "number": 5,
    }
    result = validate_call(call(properties, typing=Typing.SCHEMA, schema=schema), SETTINGS)
    assert found(result) == [
        ("MissingPropertyType", "noSuffix"),
        ("InvalidPropertyName", "dash-name"),
        ("InvalidValue", "nul"),
        ("InvalidValue", "wrong"),
        ("ExpectedAtom", "arr"),
        ("InvalidValue", "items"),
        ("MissingPropertyType", "nested.b.d"),
        ("ExpectedAtom", "list"),
        ("InvalidValue", "email"),
        ("InvalidPropertyType", "odd"),
        ("InvalidPropertyType", "number"),
    ]
    assert result.names == ("pets_int", "nested.a_int", "nested.b.c_str", "website_str")
    assert set(result.schema_cuts) == {
        ("dash-name",),
        ("nul",),
        ("wrong",),
        ("arr",),
        ("items",),
        ("list",),
        ("odd",),
        ("number",),
    }


def test_api_version_2_infers_where_the_schema_is_silent() -> None:
    properties = {
        "plan": "pro",
        "n": 3,
        "whole": 3,
        "ok": True,
        "tags": ["a"],
        "none": [],
        "mixed": [1, "a"],
        "nul": None,
        "o": {"a": 1, "b": {"c": "d"}},
        "list": [{"a": 1}],
        "sp ace": "v",
        "9x": 1,
        "n_int": 4,
        "odd": "x",
        "when": "1970-01-01",
    }
    schema = {"whole": "int", "odd": "foo", "when": "date", "o": {"b": {"c": "int"}}}
    result = validate_call(call(properties, EVENT, typing=Typing.INFERRED, schema=schema, name="Signed Up"), SETTINGS)
    assert found(result) == [
        ("InvalidValue", "mixed"),
        ("InvalidValue", "nul"),
        ("InvalidValue", "o.b.c"),
        ("ExpectedAtom", "list"),
        ("InvalidPropertyName", "sp ace"),
        ("InvalidPropertyName", "9x"),
        ("InvalidPropertyType", "odd"),
    ]
    assert result.names == tuple(
        f"Signed Up/{name}"
        for name in (
            "plan_str",
            "n_real",
            "whole_int",
            "ok_bool",
            "tags_strs",
            "none_strs",
            "o.a_real",
            "n_int_real",
            "when_date",
        )
    )


def test_both_generations_count_as_one_name() -> None:
    first = validate_call(call({"o": {"price_real": 1}}, EVENT), SETTINGS)
    second = validate_call(
        call({"o": {"price": 1}}, EVENT, typing=Typing.SCHEMA, schema={"o": {"price": "real"}}), SETTINGS
    )
    assert first.names == second.names == ("E/o.price_real",)


def test_event_names_cannot_collide_with_another_events_properties() -> None:
    assert (
        validate_call(call({"b_str": "x"}, EVENT, name="E/a"), SETTINGS).names
        != validate_call(call({"a": {"b_str": "x"}}, EVENT, name="E"), SETTINGS).names
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("x", []),
        ("x" * 249, []),
        ("x" * 250, []),
        ("😀" * 250, []),
        ('any "symbols" {at} all\n', []),
        ("x" * 251, [("InvalidEventName", None)]),
        ("😀" * 251, [("InvalidEventName", None)]),
        ("", [("InvalidEventName", None)]),
        (None, [("InvalidEventName", None)]),
        (5, [("InvalidEventName", None)]),
        (["E"], [("InvalidEventName", None)]),
    ],
)
def test_event_names(name: object, expected: list[Any]) -> None:
    assert judged({"a_str": "x"}, EVENT, name=name) == expected


def test_an_invalid_event_name_does_not_hide_its_properties() -> None:
    result = validate_call(call({"a_int": "x", "b_str": "y"}, EVENT, name=""), SETTINGS)
    assert result.rejected
    assert found(result) == [("InvalidEventName", None), ("InvalidValue", "a_int")]
    assert result.names == ()


@pytest.mark.parametrize("kind", [USER, EVENT, CallKind.PAGE])
@pytest.mark.parametrize("length", [511, 512, 513])
def test_name_length_counts_the_suffix(kind: CallKind, length: int) -> None:
    key = "a" * (length - 4) + "_str"
    expected = [] if length <= 512 else [("PropertyNameTooLong", key)]
    assert judged({key: "x"}, kind) == expected
    bare = key[:-4]
    expected = [] if length <= 512 else [("PropertyNameTooLong", bare)]
    assert judged({bare: "x"}, kind, typing=Typing.SCHEMA, schema={bare: "str"}) == expected


@pytest.mark.parametrize("kind", [USER, EVENT, CallKind.PAGE])
@pytest.mark.parametrize("length", [507, 508, 512, 513])
@pytest.mark.parametrize("declared", [None, "str"])
def test_name_length_is_the_paths_alone_where_nobody_wrote_a_suffix(
    kind: CallKind, length: int, declared: str | None
) -> None:
    name = "a" * length
    schema = {name: declared} if declared else {}
    expected = [] if length <= 512 else [("PropertyNameTooLong", name)]
    assert judged({name: "x"}, kind, typing=Typing.INFERRED, schema=schema) == expected
    inside = [] if length <= 512 else [("PropertyNameTooLong", "o." + name[2:])]
    assert judged({"o": {name[2:]: "x"}}, kind, typing=Typing.INFERRED) == inside


@pytest.mark.parametrize("length", [511, 512, 513])
def test_name_length_counts_the_dotted_path_from_the_root(length: int) -> None:
    path = "ab." * 100 + "c" * (length - 304) + "_str"
    assert len(path) == length
    path = path.replace("ab." * 100, "ab." * 20 + "d" * 239 + ".")
    assert len(path) == length
    expected = [] if length <= 512 else [("PropertyNameTooLong", path)]
    assert judged(nest(path, "x")) == expected
    bare = path[:-4]
    expected = [] if length <= 512 else [("PropertyNameTooLong", bare)]
    assert judged(nest(bare, "x"), typing=Typing.SCHEMA, schema=nest(bare, "str")) == expected


def test_the_order_is_name_length_suffix_one_value_type_size() -> None:
    long = "a" * 600
    assert judged({long + "!_foo": []}) == [("InvalidPropertyName", long + "!_foo")]
    assert judged({long + "_foo": []}) == [("PropertyNameTooLong", long + "_foo")]
    assert judged({"a_foo": []}) == [("InvalidPropertyType", "a_foo")]
    assert judged({"a_str": ["x" * 9000]}) == [("ExpectedAtom", "a_str")]
    assert judged({"a_strs": ["x" * 9000, 1]}) == [("InvalidValue", "a_strs")]
    assert judged({"a_strs": ["x" * 9000]}) == [("ValueTooBig", "a_strs")]


def test_nested_names_carry_no_suffix() -> None:
    assert judged({"my_obj": {"a_str": "x"}}) == []
    assert judged({"plain": {"a_str": "x"}}) == []
    assert judged({"my_str": {"a_str": "x"}}) == [("ExpectedAtom", "my_str")]
    assert judged({"my_strs": {"a_str": "x"}}) == [("ExpectedAtom", "my_strs")]
    assert judged({"9x": {"a_str": "x", "b": 1}}) == [("InvalidPropertyName", "9x")]
    assert judged({"a": {"sp ace": {"a_str": "x"}}}) == [("InvalidPropertyName", "a.sp ace")]
    assert judged({"a": {}}) == []


def test_lists_of_objects_pass_only_in_order_completed() -> None:
    products = {"products": [{"price_real": 1.5, "sku_str": 5}, {"price_real": "x"}, {}]}
    result = validate_call(call(products, EVENT, name="Order Completed"), SETTINGS)
    assert found(result) == [("InvalidValue", "products.sku_str"), ("InvalidValue", "products.price_real")]
    assert result.cuts == (("products", 0, "sku_str"), ("products", 1, "price_real"))
    assert result.names == ("Order Completed/products.price_real",)
    assert judged(products, EVENT, name="order completed") == [("ExpectedAtom", "products")]
    assert judged(products) == [("ExpectedAtom", "products")]
    assert judged({"a_strs": [{"b_str": "x"}]}, EVENT, name="Order Completed") == [("ExpectedAtom", "a_strs")]
    assert judged({"a_strs": ["x", {"b_str": "x"}]}, EVENT, name="Order Completed") == [("ExpectedAtom", "a_strs")]


@pytest.mark.parametrize("schema", [[{"price": "real"}], [{"price": "real"}, {"price": "real"}], {"price": "real"}])
def test_a_schema_describes_lists_by_element_or_by_one_for_all(schema: Any) -> None:
    products = {"products": [{"price": 1.5}, {"price": "x"}]}
    result = validate_call(
        call(products, EVENT, name="Order Completed", typing=Typing.SCHEMA, schema={"products": schema}), SETTINGS
    )
    assert found(result) == [("InvalidValue", "products.price")]
    assert result.names == ("Order Completed/products.price_real",)
    shared = isinstance(schema, dict) or len(schema) == 1
    assert result.schema_cuts == (() if shared else (("products", 1, "price"),))


@pytest.mark.parametrize("kind", [USER, CallKind.IDENTIFY])
@pytest.mark.parametrize(
    ("key", "limit"), [("displayName", 256), ("email", 128), ("acctId", 256), ("website", 1024), ("uid", 256)]
)
def test_reserved_properties_of_users(kind: CallKind, key: str, limit: int) -> None:
    if kind is CallKind.IDENTIFY and key == "uid":
        return
    more = {"uid": "ada"} if kind is CallKind.IDENTIFY else {"a_str": "x"}
    for length in (0, limit - 1, limit):
        assert judged(more | {key: "é" * length}, kind) == []
    assert judged(more | {key: "é" * (limit + 1)}, kind) == [("ValueTooBig", key)]
    assert judged(more | {key: 5}, kind) == [("InvalidValue", key)]
    assert judged(more | {key: {"a_str": "x"}}, kind) == [("ExpectedAtom", key)]
    assert judged(more | {"o": {key: "x"}}, kind) == [("MissingPropertyType", f"o.{key}")]


@pytest.mark.parametrize("key", ["uid", "displayName", "email", "acctId", "website", "pageName"])
def test_nothing_is_reserved_in_events(key: str) -> None:
    assert judged({key: "x"}, EVENT) == [("MissingPropertyType", key)]


@pytest.mark.parametrize("kind", [CallKind.PAGE, CallKind.DOCUMENT])
def test_pages_and_documents_reserve_page_name_alone(kind: CallKind) -> None:
    assert judged({"pageName": "x" * 1024, "a_str": "x"}, kind) == []
    assert judged({"pageName": "x" * 1025, "a_str": "x"}, kind) == [("ValueTooBig", "pageName")]
    assert judged({"pageName": 5, "email": "x", "a_str": "x"}, kind) == [
        ("InvalidValue", "pageName"),
        ("MissingPropertyType", "email"),
    ]


def test_a_reserved_name_with_a_schema_entry_is_an_ordinary_one_in_api_version_1() -> None:
    properties = {"displayName": "x" * 300, "email": "x" * 200}
    schema = {"displayName": "str"}
    first = validate_call(call(properties, typing=Typing.SCHEMA, schema=schema), SETTINGS)
    assert (found(first), first.names) == ([("ValueTooBig", "email")], ("displayName_str",))
    second = validate_call(call({**properties, "a": 1}, typing=Typing.INFERRED, schema=schema), SETTINGS)
    assert found(second) == [("ValueTooBig", "displayName"), ("ValueTooBig", "email")]


@pytest.mark.parametrize("uid", ["user-42", "é" * 256, "10", "nullable", " "])
def test_uids_that_identify(uid: str) -> None:
    assert judged({"uid": uid, "a_str": "x"}, CallKind.IDENTIFY) == []


@pytest.mark.parametrize(
    "uid",
    [
        "",
        "0",
        "1",
        "-1",
        "True",
        "FALSE",
        "N/A",
        "NaN",
        "undefined",
        "Null",
        "nil",
        "x" * 257,
        5,
        None,
        True,
        ["a"],
        {},
    ],
)
def test_uids_that_identify_nobody(uid: object) -> None:
    result = validate_call(call({"uid": uid, "a_int": "x"}, CallKind.IDENTIFY), SETTINGS)
    assert result.rejected
    assert found(result) == [("InvalidId", None), ("InvalidValue", "a_int")]
    assert judged({"a_str": "x"}, CallKind.IDENTIFY) == [("InvalidId", None)]


def test_an_event_is_still_recorded_by_its_name_when_all_its_properties_fail() -> None:
    result = validate_call(call({"a": 1, "b_int": "x"}, EVENT), SETTINGS)
    assert (result.rejected, len(result.rejections)) == (False, 2)


@pytest.mark.parametrize("kind", [USER, CallKind.PAGE, CallKind.DOCUMENT])
def test_variables_of_which_none_is_left_are_rejected_and_sent_empty_are_valid(kind: CallKind) -> None:
    assert validate_call(call({"a": 1, "b": {"c": 1}, "d": {}}, kind), SETTINGS).rejected
    assert validate_call(call({}, kind), SETTINGS) == ValidatedCall()


def test_an_identify_keeps_its_uid_when_all_else_fails() -> None:
    assert not validate_call(call({"uid": "ada", "b": 1}, CallKind.IDENTIFY), SETTINGS).rejected


@pytest.mark.parametrize("count", [4999, 5000, 5001])
def test_leaves(count: int) -> None:
    """The first 5,000 are judged, whatever comes of them; the rest are rejected, each, whatever they are."""
    beyond = range(5000, count)
    assert judged({f"a{i}_int": i for i in range(count)}) == [("CardinalityExceeded", f"a{i}_int") for i in beyond]
    inside = judged({"o": {f"a{i}_int": i for i in range(count)}}, EVENT)
    assert inside == [("CardinalityExceeded", f"o.a{i}_int") for i in beyond]
    assert judged({f"a{i}": {} for i in range(count)}, EVENT) == []
    wrong = judged({f"a{i}": i for i in range(count)}, EVENT)
    assert [code for code, _ in wrong] == ["MissingPropertyType"] * min(count, 5000) + ["CardinalityExceeded"] * len(
        beyond
    )


def test_what_is_beyond_the_first_leaves_is_cut_with_its_entries_and_an_objects_leaves_one_by_one() -> None:
    names = [f"a{i}" for i in range(5000)]
    properties = dict.fromkeys(names, 1) | {"o": {"b": 1, "c": 2}, "d": 3}
    schema = dict.fromkeys(names, "int") | {"o": {"b": "int"}, "o.c": "int", "d": "int"}
    result = validate_call(call(properties, EVENT, typing=Typing.SCHEMA, schema=schema), SETTINGS)
    assert found(result) == [("CardinalityExceeded", each) for each in ("o.b", "o.c", "d")]
    assert (result.rejected, result.cuts) == (False, (("o", "b"), ("o", "c"), ("d",)))
    assert set(result.schema_cuts) == {("o", "b"), ("o.c",), ("d",)}


def test_the_uid_of_an_identify_is_never_beyond() -> None:
    result = validate_call(call({f"a{i}_int": i for i in range(5001)} | {"uid": "ada"}, CallKind.IDENTIFY), SETTINGS)
    assert found(result) == [("CardinalityExceeded", "a5000_int")]


def test_refused_names_are_rejected_where_they_stand() -> None:
    properties = {"a_int": "x", "b_str": "x", "o": {"c_str": "x"}, "d_str": "x", "email": "x"}
    refused = {NameKind.USER_PROPERTY: {"b_str", "o.c_str", "email"}, NameKind.EVENT_PROPERTY: {"d_str"}}
    result = validate_call(call(properties), SETTINGS, refused)
    assert found(result) == [
        ("InvalidValue", "a_int"),
        ("CardinalityExceeded", "b_str"),
        ("CardinalityExceeded", "o.c_str"),
    ]
    assert result.names == ("d_str",)
    event = validate_call(call({"b_str": "x", "c_str": "x"}, EVENT), SETTINGS, {NameKind.EVENT_PROPERTY: {"E/b_str"}})
    assert found(event) == [("CardinalityExceeded", "b_str")]
    assert validate_call(call({}, EVENT), SETTINGS, {NameKind.EVENT_NAME: {"E"}}).rejected


def test_no_detail_ever_holds_a_value() -> None:
    properties = {f"{name}_{kind}": "s3cret" for name in ("a", "b c") for kind in ("int", "bool", "strs", "foo")}
    result = validate_call(call(properties | {"email": ["s3cret"], "x": "s3cret"}), SETTINGS)
    assert len(result.rejections) == 10
    assert not any("s3cret" in repr(each) for each in result.rejections)


@pytest.mark.parametrize(
    ("properties", "more"),
    [
        ({"a_str": "x", "b_str": "y"}, {}),
        ({"a_str": "x", "b": 1}, {}),
        ({"a_str": "x"}, {"kind": EVENT}),
        ({"o": {"a": "x", "b": "y"}}, {"typing": Typing.SCHEMA, "schema": {"o": {"a": "str", "b": "str"}}}),
        ({"a": "x"}, {"typing": Typing.SCHEMA, "schema": {"a": "str"}}),
    ],
)
def test_what_the_ledger_refuses_goes_as_if_it_had_been_known_at_once(
    properties: dict[str, Any], more: dict[str, Any]
) -> None:
    made = call(properties, **more)
    first = validate_call(made, SETTINGS)
    for names in ({"a_str", "E/a_str", "o.a_str"}, {"other"}, set[str]()):
        refused = {NameKind.USER_PROPERTY: names, NameKind.EVENT_PROPERTY: names}
        again, expected = refuse(made, first, refused, SETTINGS), validate_call(made, SETTINGS, refused)
        assert (again.rejected, again.rejections) == (expected.rejected, expected.rejections)
        assert again.rejected or again.names == expected.names
        cardinality = [each for each in again.rejections if each.code is RejectionCode.CARDINALITY_EXCEEDED]
        assert bool(cardinality) is ("a_str" in names)
