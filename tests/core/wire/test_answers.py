import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.core.failures import Failure
from fsproxy.core.model import Route
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.wire.answers import OwnAnswers, block_body, cookie_domain

ANY = OwnAnswers()
LISTED = OwnAnswers(lambda origin: origin == "https://a.example")


def block(
    answers: OwnAnswers, code: ReasonCode, origin: bytes | None, request_id: bytes, domain: str, user_id: str = ""
) -> bytes:
    return answers.answer(202, block_body(code, domain, user_id=user_id), origin, request_id)


def parsed(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    start, *lines = head.decode("ascii").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert len(headers) == len(lines), "no header is there twice"
    assert start.startswith("HTTP/1.1 ")
    return int(start.split(" ")[1]), headers, body


def test_the_block_answer_letter_for_letter() -> None:
    assert block(ANY, ReasonCode.DOMAIN_FILTER, b"https://a.example", b"rid", "example.com") == (
        b"HTTP/1.1 202 Accepted\r\n"
        b"Content-Type: application/json\r\n"
        b"Cache-Control: no-store\r\n"
        b"Access-Control-Allow-Origin: https://a.example\r\n"
        b"Access-Control-Allow-Credentials: true\r\n"
        b"Access-Control-Expose-Headers: X-Request-Id, FSProxy-Rejected, Retry-After, RateLimit, RateLimit-Policy\r\n"
        b"Vary: Origin\r\n"
        b"X-Request-Id: rid\r\n"
        b"Content-Length: 77\r\n"
        b"\r\n"
        b'{"reason_code": 4, "reason": "Domain Filter", "cookie_domain": "example.com"}'
    )


@pytest.mark.parametrize("code", list(ReasonCode))
def test_every_reason_has_its_number_and_text(code: ReasonCode) -> None:
    status, headers, body = parsed(block(ANY, code, None, b"rid", "h"))
    assert (status, headers["Content-Length"]) == (202, str(len(body)))
    assert json.loads(body) == {"reason_code": int(code), "reason": code.text, "cookie_domain": "h"}


def test_a_ramped_out_first_visit_is_told_its_user_id() -> None:
    body = parsed(block(ANY, ReasonCode.TRAFFIC_RAMPING, None, b"r", "h", user_id='u"1'))[2]
    assert json.loads(body)["user_id"] == 'u"1'


@pytest.mark.parametrize(
    ("answers", "origin", "allowed"),
    [
        (ANY, b"https://b.example:8443", True),
        (ANY, b"null", True),
        (ANY, b"http://[::1]:80", True),
        (ANY, b"file://", True),
        (ANY, b"capacitor://localhost", True),
        (ANY, b"ionic://localhost", True),
        (ANY, b"chrome-extension://mhjfbmdgcfjbbpaeojofohoefgiehjai", True),
        (ANY, b"moz-extension://d14f7a4e-1c2b-4f0a-9e65-7b7d7c1f9a10", True),
        (ANY, b"app://.", True),
        (ANY, b"a" * 31 + b"://h", True),
        (ANY, b"a" * 32 + b"://h", False),
        (ANY, b"https://" + b"a" * 255, True),
        (ANY, b"https://" + b"a" * 256, False),
        (LISTED, b"file://", False),
        (LISTED, b"chrome-extension://a.example.evil", False),
        (ANY, b"file:///", False),
        (ANY, b"file:", False),
        (LISTED, b"https://a.example", True),
        (LISTED, b"https://b.example", False),
        (LISTED, b"null", False),
        (ANY, None, False),
        (ANY, b"", False),
        (ANY, b"https://a.example\r\nSet-Cookie: a=1", False),
        (ANY, b"https://a.example, https://b.example", False),
        (ANY, b"https://a.example\n", False),
        (ANY, b"https://\xff", False),
        (ANY, b"https://a.example/path", False),
        (ANY, b"*", False),
    ],
)
def test_cors_is_for_the_exact_plain_origin(answers: OwnAnswers, origin: bytes | None, *, allowed: bool) -> None:
    for answer in (
        block(answers, ReasonCode.OVER_QUOTA, origin, b"r", "h"),
        answers.failure(Failure.UPSTREAM_REFUSED, Route.PAGE, origin, b"r"),
    ):
        _, headers, _ = parsed(answer)
        assert headers["Vary"] == "Origin"
        assert headers.get("Access-Control-Allow-Origin") == (origin.decode() if allowed and origin else None)
        assert ("Access-Control-Allow-Credentials" in headers) is allowed


@pytest.mark.parametrize("failure", list(Failure))
def test_a_recorders_upload_is_kept_for_a_retry_whenever_that_may_help(failure: Failure) -> None:
    """Any other status ends the recording (wire.md 2); the body being too large never gets better."""
    if failure in {Failure.CLIENT_GONE, Failure.CLIENT_STALLED}:
        return
    for route in (Route.BUNDLE, Route.EVENT):
        status, headers, body = parsed(ANY.failure(failure, route, None, b"r"))
        assert (status == 502) is failure.is_temporary
        assert headers["Content-Type"] == "application/problem+json"
        assert json.loads(body) == {
            "type": "about:blank",
            "title": failure.summary,
            "status": status,
            "detail": failure.detail,
        }
    assert parsed(ANY.failure(failure, Route.PAGE, None, b"r"))[0] == failure.status


def test_no_cors_off_the_capture_routes() -> None:
    headers = parsed(ANY.failure(Failure.DRAINING, Route.OTHER, b"https://a.example", b"r"))[1]
    assert not {name for name in headers if name.startswith("Access-") or name == "Vary"}


def test_the_seconds_to_wait_are_announced() -> None:
    assert parsed(ANY.answer(429, b"{}", None, b"r", retry_after=5))[1]["Retry-After"] == "5"


def test_the_end_of_the_connection_and_rejections_are_announced() -> None:
    answer = ANY.answer(400, b"{}", None, b"r", rejected=3, close=True)
    headers = parsed(answer)[1]
    assert (headers["Connection"], headers["FSProxy-Rejected"]) == ("close", "3")
    assert parsed(ANY.answer(400, b"{}", None, b"r", rejected=3))[1] == {
        name: value for name, value in headers.items() if name != "Connection"
    }


@settings(max_examples=150)
@given(st.binary(max_size=40), st.text(max_size=20))
def test_nothing_sent_becomes_a_header_line(tail: bytes, domain: str) -> None:
    _, headers, body = parsed(
        block(ANY, ReasonCode.INVALID_URL, b"https://a" + tail, b"r", domain.replace("\ud800", ""))
    )
    assert set(headers) <= {
        "Content-Type",
        "Cache-Control",
        "Access-Control-Allow-Origin",
        "Access-Control-Allow-Credentials",
        "Access-Control-Expose-Headers",
        "Vary",
        "X-Request-Id",
        "Content-Length",
    }
    assert int(headers["Content-Length"]) == len(body)


@pytest.mark.parametrize(
    ("url", "plain", "registered"),
    [
        ("https://shop.example.co.uk/x", "shop.example.co.uk", "example.co.uk"),
        ("http://localhost:9000/", "localhost", "localhost"),
        ("http://192.0.2.1/", "192.0.2.1", "192.0.2.1"),
        ("http://[::1]/", "[::1]", "[::1]"),
        (None, "", ""),
    ],
)
def test_the_cookies_domain_is_the_host_or_what_the_list_says(url: object, plain: str, registered: str) -> None:
    assert cookie_domain(url) == plain
    assert cookie_domain(url, {"shop.example.co.uk": "example.co.uk"}.get) == registered


def test_the_list_is_not_asked_about_addresses() -> None:
    for url, host in (("http://192.0.2.1/", "192.0.2.1"), ("http://[2001:db8::1]:80/", "[2001:db8::1]")):
        assert cookie_domain(url, lambda _: "wrong.example") == host
    assert cookie_domain("about:blank", lambda _: "wrong.example") == ""


def test_only_the_domain_of_a_possible_host_is_remembered() -> None:
    asked: list[str] = []

    def registrable(host: str) -> str:
        asked.append(host)
        return "example.co.uk"

    possible, too_long = f"{'a.' * 120}example.co.uk", f"{'a.' * 121}example.co.uk"
    for host in (possible, possible, too_long, too_long):
        assert cookie_domain(f"https://{host}/", registrable) == "example.co.uk"
    assert asked == [possible, too_long, too_long]


def test_a_block_without_a_user_id_names_none() -> None:
    assert json.loads(block_body(ReasonCode.OVER_QUOTA, "h")).keys() == {"reason_code", "reason", "cookie_domain"}


def test_more_headers_stand_each_on_a_line_of_its_own() -> None:
    extra = (("RateLimit-Policy", '"1s";q=10;w=1'), ("RateLimit", '"1s";r=0;t=1'))
    _, headers, body = parsed(ANY.answer(429, b"{}", None, b"r", extra=extra, retry_after=1))
    assert (headers["RateLimit-Policy"], headers["RateLimit"]) == ('"1s";q=10;w=1', '"1s";r=0;t=1')
    assert (headers["Retry-After"], headers["Content-Type"], body) == ("1", "application/json", b"{}")
    assert "Connection" not in headers
