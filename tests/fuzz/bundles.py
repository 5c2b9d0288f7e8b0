"""Uploads of a recorder: what is cut is cut, and no other byte changes (wire.md 2 to 4, rules.md 2 and 3)."""

from __future__ import annotations

import json
from typing import Any

from fsproxy.core.client_api.inspected import Inspection
from fsproxy.core.client_api.inspection import inspect
from fsproxy.core.client_api.outcome import decide_calls
from fsproxy.core.client_api.problems import problem_document
from fsproxy.core.client_api.reading.bundle import is_companion
from fsproxy.core.client_api.rewriting import rewrite
from fsproxy.core.model import Route
from fsproxy.core.settings import ClientApiSettings, OnUninspectable
from fsproxy.core.wire.one_reading import UnclearError
from fsproxy.core.wire.sockets.frames import Command, read_frame
from fsproxy.core.wire.sockets.uploads import read_upload
from fuzz.harness import Target, head_and_rest

SETTINGS = ClientApiSettings(value_size=60, property_name_length=24, on_uninspectable=OnUninspectable.BLOCK)
LENIENT = ClientApiSettings(value_size=60, property_name_length=24)
CALLS = (8193, 8197)


def check_bundle(data: bytes) -> None:
    """The first byte chooses a bundle, an upload to ``/rec/event`` or a socket's frame; the rest is its body."""
    variant, body = head_and_rest(data)
    if variant % 3 == 2:
        check_frame(body)
    else:
        checked((Route.BUNDLE, Route.EVENT)[variant % 3], body)


def check_frame(text: bytes) -> None:
    """What goes on of a frame is, to a plain reader, the frame with what goes on of its body."""
    try:
        frame = read_frame(text)
        upload = read_upload(text, frame.place) if frame is not None and frame.command is not Command.PAGE else None
        assert frame is None or frame.upload in (None, upload), "an upload is read in two ways"
    except UnclearError:
        return
    if upload is None:
        return
    start, end = upload.place
    left = checked(Route.BUNDLE, text[start:end])
    try:
        root = json.loads(text[:start] + left + text[end:])
    except (ValueError, RecursionError):
        return
    if left and root.get("Cmd") in (2, 6) and "Bundle" in root and "Bundle" in root["Bundle"]:
        assert root["Bundle"]["Bundle"] == json.loads(left)


def checked(route: Route, body: bytes) -> bytes:
    """Give what goes on of a body, once all properties were found to hold."""
    lenient = inspect(LENIENT, route, body)
    assert [each.validated for each in lenient.calls] == [
        each.validated for each in inspect(SETTINGS, route, body).calls
    ]
    inspection = inspect(SETTINGS, route, body)
    outcome = decide_calls(inspection, {}, (), SETTINGS)
    json.loads(problem_document(outcome))
    # As on a bundle, where the rest always goes on.
    left = rewrite(inspection, decide_calls(_as_bundle(inspection), {}, (), SETTINGS))
    assert (left is not None) == outcome.changed
    if left is None:
        left = body
    again = inspect(SETTINGS, route, left)
    settled = decide_calls(again, {}, (), SETTINGS)
    assert not settled.rejections
    assert not settled.changed
    if inspection.uninspectable is None:
        assert again.uninspectable is None
        _the_rest_is_untouched(inspection, again)
        _nothing_slips_through(left)
        if _reads(body):
            assert _reads(left)
    return left


def _as_bundle(inspection: Inspection) -> Inspection:
    return Inspection(
        body=inspection.body,
        route=Route.BUNDLE,
        form=inspection.form,
        parts=inspection.parts,
        calls=inspection.calls,
        uninspectable=inspection.uninspectable,
    )


def _the_rest_is_untouched(before: Inspection, after: Inspection) -> None:
    """Events that are no calls keep their bytes and their order; so does what stands around the list of events."""
    assert _opaque(before) == _opaque(after)
    if before.parts and after.parts:
        assert before.body[: before.parts[0][0]] == after.body[: after.parts[0][0]]
        assert before.body[before.parts[-1][1] :] == after.body[after.parts[-1][1] :]
    kept = [each for each in before.calls if not each.validated.rejected]
    assert len(kept) == len(after.calls)
    for first, second in zip(kept, after.calls, strict=True):
        assert _envelope(before, first.part) == _envelope(after, second.part)
        if not first.validated.rejections:
            assert _part(before, first.part) == _part(after, second.part)


def _opaque(inspection: Inspection) -> list[bytes]:
    calls = {each.part for each in inspection.calls}
    texts = [_part(inspection, index) for index in range(len(inspection.parts))]
    # A companion goes with the call after it, so it is not looked at here.
    return [text for index, text in enumerate(texts) if index not in calls and not is_companion(text)]


def _part(inspection: Inspection, index: int) -> bytes:
    start, end = inspection.parts[index]
    return inspection.body[start:end]


def _envelope(inspection: Inspection, index: int) -> Any:
    """A call's event without the texts in which something may have been cut."""
    event = json.loads(_part(inspection, index))
    event["Args"] = [None if place in (1, 4) else value for place, value in enumerate(event["Args"])]
    return event


def _nothing_slips_through(body: bytes) -> None:
    """A plain reader of its own finds no event that breaks what the rules say of a call as a whole."""
    try:
        root = json.loads(body)
    except (ValueError, RecursionError):
        return
    for event in root["Evts"]:
        if type(event) is dict and type(event.get("Kind")) is int and event["Kind"] in CALLS:
            _is_fine(event)


def _is_fine(event: dict[str, Any]) -> None:
    args = event["Args"]
    if event["Kind"] == CALLS[0] and isinstance(args[0], str) and args[0] not in ("user", "page", "document"):
        return
    if event["Kind"] == CALLS[1]:
        assert isinstance(args[0], str)
        assert 1 <= len(args[0]) <= 250
    assert isinstance(json.loads(args[1]), dict)
    assert len(args[1].encode()) <= SETTINGS.max_payload


def _reads(body: bytes) -> bool:
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return False
    return True


_OPAQUE = (
    rb'{"Kind":2,"Args":[-1,-1,["<#document","[",":name","html","\"}]{[",1.50,1E3]],"When":85}',
    rb'{"Kind":45,"Args":["cut \ud83d emoji","819"],"When":93}',
    rb'{ "Kind" : 57 , "Args" : [ 8197, {"Kind":8193} ] , "When" : 92 }',
)
_API = rb'{"Kind":98,"Args":["api","event","dom",null,false],"When":1}'
_FIRST = rb'{"Kind":8197,"Args":["Bought","{\"price_real\":9.5,\"items_strs\":[\"a\"],\"bad\":1}","dom"],"When":1200}'
_SECOND = (
    rb'{"Kind":8197,"Args":["Order Completed","{\"price\":9.5,\"o\":{\"n\":\"x\"}}",null,2,'
    rb'"{\"price\":\"int\",\"o\":{\"n\":\"str\"}}"],"When":7}'
)
_USER = rb'{"Kind":8193,"Args":["user","{\"uid\":\"u1\"}"],"When":3},{"Kind":8193,"Args":["user","{\"a_int\":1.5}"],"When":3}'


def _bundle(*events: bytes) -> bytes:
    return b'{"Seq":1,"When":5,"Evts":[' + b",".join(events) + b"]}"


SAMPLES = (
    _bundle(*_OPAQUE),
    _bundle(_OPAQUE[0], _API, _FIRST, _OPAQUE[1]),
    _bundle(_SECOND, _USER, _OPAQUE[2]),
    _bundle(),
    b'{"Evts" : [ ' + _FIRST + b" ,\n" + _API + b"," + _SECOND + b' ] , "Seq":2 }',
)
_TOKENS = (
    *(
        b'"Evts":[',
        b'{"Kind":8197,"Args":',
        b'{"Kind":8193,"Args":',
        b'"Kind":98',
        b"8197",
        b"8193",
        b"8197.0",
        b'"Args":[',
    ),
    *(
        b'"user"',
        b'"page"',
        b'"api"',
        b'\\"',
        b"\\\\",
        b"\\u0022",
        b"\\ud800",
        b"\\u0038",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
    ),
    *(
        b'"',
        b"null",
        b"1e400",
        b"_str",
        b"_ints",
        b'"{}"',
        b'"Kind":8197,',
        b'"Kind":1,',
        b" ",
        b"\n",
        b"[" * 70,
        b"]" * 70,
    ),
)
BUNDLES = Target(
    "bundles",
    check_bundle,
    seeds=(
        *(b"\0" + each for each in SAMPLES),
        b"\1" + SAMPLES[1],
        b'\2{"Cmd":2,"Seq":4,"Bundle":{"OrgId":"o","Bundle":' + SAMPLES[2] + b',"PageId":"p"}}',
        b'\2{"Cmd":1,"Seq":1,"Page":{"OrgId":"o"}}',
    ),
    tokens=_TOKENS,
    inputs=1200,
)
