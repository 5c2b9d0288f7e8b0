"""Names that the ledger refused, in calls that were rejected anyway; and the edges of whole numbers and batches."""

from __future__ import annotations

import pytest

from fsproxy.core.client_api.inspection import inspect
from fsproxy.core.client_api.outcome import decide_calls
from fsproxy.core.client_api.reading.server_api import ServerCall, split_batch
from fsproxy.core.client_api.validation.values import VALIDATORS
from fsproxy.core.json.strict import Fault
from fsproxy.core.limits.operations import NameKind
from fsproxy.core.model import PropertyType, Route
from fsproxy.core.reasons import RejectionCode
from fsproxy.core.settings import ClientApiSettings
from support.call_samples import bundle, event, first

SETTINGS = ClientApiSettings()


def test_a_call_that_is_rejected_anyway_is_not_told_of_names_too() -> None:
    broken = event(8197, ["E", '{"a":1}', None, "no version", "{}"])
    inspection = inspect(SETTINGS, Route.BUNDLE, bundle(first("E", {"a_int": 1}), broken))
    outcome = decide_calls(inspection, {NameKind.EVENT_NAME: {"E"}}, (), SETTINGS)
    codes = [[each.code for each in call.rejections] for call in outcome.calls]
    assert codes[0] == [RejectionCode.CARDINALITY_EXCEEDED]
    assert RejectionCode.CARDINALITY_EXCEEDED not in codes[1]
    assert codes[1][0] is RejectionCode.INVALID_JSON


@pytest.mark.parametrize(
    ("value", "fits"), [(2**63 - 1, True), (2**63, False), (-(2**63), True), (-(2**63) - 1, False)]
)
def test_an_integer_has_64_bits_alone_and_in_a_list(value: int, *, fits: bool) -> None:
    expected = None if fits else RejectionCode.INVALID_VALUE
    assert VALIDATORS[PropertyType.INT](value, 8192) is expected
    assert VALIDATORS[PropertyType.INTS]([0, value], 8192) is expected
    assert VALIDATORS[PropertyType.INTS]([0.0, value], 8192) is expected


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b'{"requests":[1}', Fault.NOT_JSON),
        (b' {"requests"', Fault.NOT_JSON),
        (b'{"requests":[]}x', Fault.NOT_JSON),
        (b"[]", Fault.NOT_OBJECT),
        (b"", Fault.NOT_OBJECT),
        (b'{"requests":[],"requests":[]}', Fault.DUPLICATE),
        (b'{"others":[]}', Fault.NOT_BATCH),
    ],
)
def test_a_batch_that_cannot_be_split_says_why(body: bytes, fault: Fault) -> None:
    assert split_batch(body) is fault


@pytest.mark.parametrize("body", [b"{}", b'{"event":5}', b'{"event":[]}'])
def test_a_custom_event_is_an_object_in_its_own_member(body: bytes) -> None:
    (call,) = inspect(SETTINGS, Route.SERVER_API, body, endpoint=ServerCall.CUSTOM_EVENT).calls
    assert [each.detail for each in call.validated.rejections] == ["event is not an object"]
