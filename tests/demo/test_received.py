import gzip

import pytest

from fsproxy.demo import received
from fsproxy.demo.received import KEPT_BYTES, BodyError, Received, Store, decompressed, parsed


def request(body: bytes = b"", *, gzip: bool = False, at_ms: int = 0) -> Received:
    return Received(at_ms=at_ms, method="POST", path="/x", query={}, headers={}, body=body, gzip=gzip)


def test_only_the_last_requests_are_kept_and_all_are_counted() -> None:
    store = Store(limit=3)
    for at_ms in range(5):
        store.keep(request(at_ms=at_ms))
    shown = store.shown(10)
    assert shown["total"] == 5
    assert [one["at_ms"] for one in shown["received"]] == [2, 3, 4]


def test_of_a_very_long_body_only_its_length_is_kept() -> None:
    store = Store()
    store.keep(request(b"x" * (KEPT_BYTES + 1)))
    (shown,) = store.shown(1)["received"]
    assert shown["bytes"] == KEPT_BYTES + 1
    assert shown["body"] == {"too_big_to_show": KEPT_BYTES + 1}


def test_a_body_that_is_long_when_decompressed_is_shown_by_its_length() -> None:
    body = gzip.compress(b"x" * (KEPT_BYTES + 1))
    assert request(body, gzip=True).shown()["body"] == {"too_big_to_show": KEPT_BYTES + 1}


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b"", None),
        (b'{"a":1}', {"a": 1}),
        (b"plain text", "plain text"),
        (b"\xff\x00", {"base64": "/wA="}),
    ],
)
def test_bodies_are_shown_as_json_text_or_base64(body: bytes, shown: object) -> None:
    assert request(body).shown()["body"] == shown


def test_a_broken_gzip_body_is_shown_as_it_came() -> None:
    assert request(b"no gzip", gzip=True).shown()["body"] == "no gzip"


def test_decompression_stops_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(received, "MAX_DECOMPRESSED", 1000)
    assert decompressed(gzip.compress(bytes(900)), gzip=True) == bytes(900)
    with pytest.raises(BodyError, match="too big"):
        decompressed(gzip.compress(bytes(1001)), gzip=True)


@pytest.mark.parametrize("body", [b'{"a":Infinity}', b"[" * 100_000, b"\xff"], ids=["infinity", "deep", "not utf-8"])
def test_what_is_no_json_is_the_clients_fault(body: bytes) -> None:
    with pytest.raises(BodyError, match="not JSON"):
        parsed(body)
