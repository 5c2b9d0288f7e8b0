"""The end of every request: counters and one audit record, whatever happened."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from fsproxy.clock import monotonic_ns
from fsproxy.config.loader import load_text
from fsproxy.config.schema import AddressPrivacy, AuditConfig
from fsproxy.core.client_api.outcome import CallOutcome, CallsOutcome
from fsproxy.core.failures import Failure
from fsproxy.core.model import CallKind, FilterName, Hit, Instant, Location, Rejection, Route, Rule, SessionFacts
from fsproxy.core.pipeline import Decision, PageAnswer
from fsproxy.core.reasons import ReasonCode, RejectionCode
from fsproxy.core.wire.client_address import ClientAddress
from fsproxy.core.wire.header_values import index
from fsproxy.http.payload import WholeBody
from fsproxy.proxy.blocked_lines import BlockedLines
from fsproxy.proxy.flow import Flow
from fsproxy.proxy.generation import Generation
from fsproxy.proxy.record import Recorder
from fsproxy.telemetry.metrics import Metrics
from fsproxy.telemetry.ring import Recent

CONFIG = "upstream: {url: http://127.0.0.1:9}\naudit: {share: {page: %s}}\n"
GENERATION = Generation.compile(load_text(CONFIG % "100%", "f.yaml", {}, Path()), 3)
NO_SHARE = Generation.compile(load_text(CONFIG % "0%", "f.yaml", {}, Path()), 3)
HALF = Generation.compile(load_text(CONFIG % "50%", "f.yaml", {}, Path()), 3)
IP_HIT = Hit(FilterName.IP, ReasonCode.IP_FILTER, Rule("ip:block:10.0.0.0/8"))
GEO_HIT = Hit(FilterName.GEO, ReasonCode.GEOGRAPHY, Rule("geo:never:AQ"))
FACTS = SessionFacts(route=Route.PAGE, org="o-1", session_id="s-1", user_id="u-1", client_ip=ip_address("10.0.0.7"))

BUNDLE_FACTS = SessionFacts(route=Route.BUNDLE, org="o-1", session_id="s-1")


@dataclass
class Sink:
    """Takes lines in place of an audit log."""

    lines: list[bytes] = field(default_factory=list)
    dropped: int = 0
    fails: bool = False

    def write(self, line: bytes) -> None:
        """Is remembered."""
        if self.fails:
            raise OSError
        self.lines.append(line)


class Bench:
    """A recorder, and what it writes to."""

    def __init__(self, **config: Any) -> None:
        self.metrics = Metrics()
        self.recent = Recent(self.metrics.orgs)
        self.sink = Sink()
        self.recorder = Recorder(self.metrics, self.sink, AuditConfig(**config), self.recent)  # type: ignore[arg-type]

    def record(self, flow: Flow) -> dict[str, Any]:
        """The line of one request."""
        self.recorder.record(flow)
        (line,) = self.sink.lines
        self.sink.lines.clear()
        return json.loads(line)


def transaction(route: Route = Route.PAGE, *, dropped: bool = False, **known: Any) -> Flow:
    client = ClientAddress(
        address=FACTS.client_ip, chain="", trusted=True, dropped=dropped, proto="http", host="", request_id="r-1"
    )
    connection: Any = SimpleNamespace(peer="10.0.0.9")  # nothing is written here
    flow = Flow(connection, "POST", "/rec/page", index(()), None, WholeBody(b""), wire_id=b"r-1")
    flow.generation, flow.client, flow.token, flow.request_id = GENERATION, client, "t-1", "r-1"
    flow.arrived, flow.started_ns = Instant(1_795_287_341.5), monotonic_ns()
    flow.route, flow.path, flow.status, flow.facts = route, "/rec/page", 200, FACTS
    for name, value in known.items():
        setattr(flow, name, value)
    return flow


def test_a_captured_page_is_counted_as_code_0() -> None:
    bench = Bench()
    record = bench.record(transaction(bytes_in=7, bytes_out=9))
    assert (
        record["fsproxy.decision"],
        record["event.outcome"],
        record["fsproxy.generation"],
        record["http.request.id"],
    ) == ("captured", "success", 3, "r-1")
    assert (
        record["http.request.body.bytes"],
        record["http.response.body.bytes"],
        record.get("fsproxy.upstream.duration"),
    ) == (7, 9, None)
    assert record["fsproxy.own.duration"] == record["event.duration"]
    assert bench.metrics.decisions == {("0", "", ""): 1}
    assert bench.metrics.requests == {("page", "2xx"): 1}


def test_a_block_and_its_shadows_and_failed_filters_are_each_counted() -> None:
    bench = Bench()
    decision = Decision(block=IP_HIT, shadow=(GEO_HIT, GEO_HIT), failed=(FilterName.URL,))
    record = bench.record(transaction(decision=decision, status=202))
    assert (record["fsproxy.decision"], record["fsproxy.reason_code"], record["rule.id"]) == (
        "blocked",
        5,
        "ip:block:10.0.0.0/8",
    )
    assert record["fsproxy.filters_failed"] == ["url"]
    assert bench.metrics.decisions == {("5", "ip", "enforce"): 1, ("7", "geo", "shadow"): 2}
    assert bench.metrics.filter_failures == {("url",): 1}


REJECTED = CallOutcome(rejections=(Rejection(RejectionCode.RATE_LIMITED, CallKind.EVENT, "a", None, "d"),))
NOTED = CallOutcome(shadow=REJECTED.rejections)


def test_what_each_org_sends_is_counted_with_its_sessions_bytes_and_rejected_parts() -> None:
    bench = Bench()
    sent: dict[str, Any] = {"bytes_in": 7, "bytes_out": 9, "sent_ns": monotonic_ns(), "status": 101}
    new = {"decision": Decision(new_session=True, token="t"), "answer": PageAnswer(200)}
    bench.record(transaction(**sent, **new))
    bench.record(transaction(**sent, **new | {"answer": PageAnswer(200, is_new=False)}))
    bench.record(transaction(**sent, **new | {"answer": PageAnswer(202)}))
    bench.record(transaction(Route.BUNDLE, **sent, calls=CallsOutcome(calls=(REJECTED,))))
    bench.record(transaction(Route.BUNDLE, **sent, calls=CallsOutcome(calls=(NOTED,))))
    bench.record(transaction(Route.EVENT, rejected=True, calls=CallsOutcome(calls=(REJECTED,)), bytes_in=7))
    counts = bench.metrics.orgs.named[FACTS.org]
    assert (counts.sessions, counts.up, counts.down, counts.cut) == (1, 35, 45, 1)


def test_the_frames_of_a_socket_are_not_counted_beside_its_own_bytes() -> None:
    bench = Bench()
    bench.record(transaction(Route.SOCKET, bytes_in=70, bytes_out=90, sent_ns=monotonic_ns(), status=101))
    bench.record(transaction(Route.SOCKET, bytes_in=7, bytes_out=9, sent_ns=monotonic_ns(), status=200))
    counts = bench.metrics.orgs.named[FACTS.org]
    assert (counts.up, counts.down) == (70, 90)


@pytest.mark.parametrize(
    "known",
    [
        {"decision": Decision(block=IP_HIT)},
        {"decision": Decision(shadow=(GEO_HIT,))},
        {"failure": Failure.CLIENT_GONE},
        {"rejected": True},
        {"calls": CallsOutcome(calls=(REJECTED,))},
        {"calls": CallsOutcome(calls=(NOTED,))},
    ],
)
def test_what_matters_is_always_written(known: dict[str, Any]) -> None:
    assert Bench().record(transaction(generation=NO_SHARE, **known))


def test_of_the_rest_a_share_is_written_and_all_of_it_kept_for_the_admin_api() -> None:
    bench = Bench()
    recent = bench.recent
    for number in range(100):
        bench.recorder.record(transaction(generation=HALF, request_id=f"r-{number}"))
    assert 20 < len(bench.sink.lines) < 80
    assert recent.number == 100
    bench.sink.lines.clear()
    bench.recorder.record(transaction(generation=NO_SHARE))
    bench.recorder.record(transaction(generation=NO_SHARE, calls=CallsOutcome()))
    assert bench.sink.lines == []
    assert recent.number == 101  # calls were read, so this request may be asked for


@pytest.mark.parametrize(
    ("known", "decision", "outcome"),
    [
        ({"failure": Failure.UPSTREAM_RESET, "status": 502}, "failed", "failure"),
        ({"failure": Failure.CLIENT_GONE, "status": 0}, "failed", "unknown"),
        ({"route": Route.BUNDLE, "facts": BUNDLE_FACTS}, "forwarded", "success"),
        ({"route": Route.DIRECT_EVENT, "rejected": True, "status": 400}, "rejected", "success"),
        ({"failure": Failure.UNINSPECTABLE, "status": 400, "facts": None}, "failed", "failure"),
    ],
)
def test_every_request_has_exactly_one_outcome(known: dict[str, Any], decision: str, outcome: str) -> None:
    record = Bench().record(transaction(**known))
    assert (record["fsproxy.decision"], record["event.outcome"]) == (decision, outcome)


def test_a_failure_is_no_decision() -> None:
    bench = Bench()
    bench.record(transaction(failure=Failure.UPSTREAM_RESET, status=502))
    bench.record(transaction(facts=None))
    assert bench.metrics.decisions == {}


def test_an_answer_that_was_never_begun_has_no_status() -> None:
    bench = Bench()
    record = bench.record(transaction(status=0, failure=Failure.CLIENT_GONE))
    assert record.get("http.response.status_code") is None
    assert bench.metrics.requests == {("page", "none"): 1}


def test_the_upstreams_own_reason_is_written() -> None:
    writer = SimpleNamespace(head=SimpleNamespace(status=202), ended_ns=0)
    record = Bench().record(transaction(answer=PageAnswer(202, reason_code=4), writer=writer, status=202))
    assert (
        record["fsproxy.upstream.status_code"],
        record["fsproxy.upstream.reason_code"],
        record["fsproxy.decision"],
    ) == (202, 4, "captured")


def test_time_spent_waiting_for_the_upstream_is_not_our_own() -> None:
    flow = transaction()
    flow.sent_ns = flow.started_ns + 1_000
    flow.writer = SimpleNamespace(head=None, ended_ns=flow.started_ns + 5_000)  # type: ignore[assignment]
    record = Bench().record(flow)
    assert record.get("fsproxy.upstream.duration") == 4_000
    assert record["event.duration"] is not None
    assert record["fsproxy.own.duration"] == record["event.duration"] - 4_000


@pytest.mark.parametrize(
    ("privacy", "ip", "address"),
    [
        (AddressPrivacy.FULL, "10.0.0.7", None),
        (AddressPrivacy.TRUNCATED, "10.0.0.0", None),
        (AddressPrivacy.NONE, None, None),
    ],
)
def test_the_address_is_written_as_configured(privacy: AddressPrivacy, ip: str | None, address: str | None) -> None:
    record = Bench(client_ip=privacy).record(transaction())
    assert (record.get("client.ip"), record.get("client.address")) == (ip, address)


def test_a_hashed_address_is_not_said_to_be_one() -> None:
    record = Bench(client_ip=AddressPrivacy.HASHED, client_ip_key="k").record(transaction())
    assert record.get("client.ip") is None
    assert record.get("client.address") is not None
    assert len(record.get("client.address")) == 16


def test_a_fault_while_writing_is_survived_and_counted() -> None:
    bench = Bench()
    bench.sink.fails = True
    bench.recorder.record(transaction())
    assert bench.metrics.own_failures == {("record",): 1}
    assert bench.metrics.decisions == {("0", "", ""): 1}


def test_a_line_that_cannot_be_made_is_counted_and_hides_no_other() -> None:
    bench = Bench()
    recent = bench.recent
    odd = msgspec.structs.replace(FACTS, location=Location("\ud800"))
    bench.recorder.record(transaction(facts=odd))
    bench.recorder.record(transaction())
    assert bench.metrics.own_failures == {("record",): 1}
    assert [each.line for each in recent.lines()] == bench.sink.lines
    assert len(bench.sink.lines) == 1


def test_what_only_passes_through_is_no_decision() -> None:
    bench = Bench()
    bench.recorder.record(transaction(Route.OTHER, facts=None))
    assert bench.sink.lines == []  # nor is a line made that no share asks for
    assert bench.metrics.decisions == {}
    assert bench.metrics.requests == {("other", "2xx"): 1}


def test_pages_whose_forwarding_headers_were_dropped_are_counted_by_their_peer_and_no_bundles() -> None:
    bench = Bench()
    bench.record(transaction(dropped=True))
    bench.record(transaction(Route.BUNDLE, dropped=True))
    bench.record(transaction())
    assert bench.metrics.forwarding_dropped == {(): 1}
    assert bench.recorder.untrusted._peers == {"10.0.0.9": 1}


def test_dropped_audit_lines_are_on_the_metrics() -> None:
    bench = Bench()
    bench.sink.dropped = 3
    families = {family.name: family for family in bench.metrics.collect()}
    (sample,) = families["fsproxy_audit_lines_dropped"].samples
    assert sample.value == 3


class TestFewerLinesOfBlockedRequests:
    """``audit.share.blocked``."""

    @staticmethod
    def written(bench: Bench, count: int = 1, **known: Any) -> int:
        """How many lines so many requests have that a rule has blocked."""
        for number in range(count):
            flow = transaction(**{"status": 202, "decision": Decision(block=IP_HIT), **known})
            flow.request_id = f"r-{number}"
            bench.recorder.record(flow)
        found = len(bench.sink.lines)
        bench.sink.lines.clear()
        return found

    def test_metrics_and_the_page_have_all_of_them(self) -> None:
        bench = Bench(share_blocked=0.0)
        assert 1 <= self.written(bench, 50) <= 2  # a minute may end meanwhile
        assert bench.metrics.decisions == {("5", "ip", "enforce"): 50}
        assert len(bench.recent.lines()) == 50

    def test_what_else_is_remarkable_is_written(self) -> None:
        bench = Bench(share_blocked=0.0)
        assert self.written(bench, 5, decision=Decision(block=IP_HIT, shadow=(GEO_HIT,))) == 5
        assert self.written(bench, 5, failure=Failure.CLIENT_GONE) == 5
        assert self.written(bench, 5, decision=Decision(), status=200) == 5

    def test_all_are_written_unless_it_is_set_and_a_share_of_the_route_does_not_count(self) -> None:
        assert self.written(Bench(share_page=0.0), 5) == 5

    def test_the_first_hit_of_each_rule_in_each_minute_is_written_and_a_share_of_the_others(self) -> None:
        def kept(lines: BlockedLines, at: float, hit: Hit = IP_HIT, count: int = 50) -> int:
            flows = [transaction(decision=Decision(block=hit)) for _ in range(count)]
            for number, flow in enumerate(flows):
                flow.request_id = f"r-{number}"
            return sum(not lines.leaves_out(flow, Instant(at)) for flow in flows)

        none = BlockedLines(0.0)
        assert [kept(none, at) for at in (0.0, 59.9, 60.0, 61.0, 600.0)] == [1, 0, 1, 0, 1]
        assert [kept(none, 600.0, GEO_HIT), kept(none, 600.0)] == [1, 0]
        assert 5 < kept(BlockedLines(0.1), 0.0, count=300) < 60
        captured = transaction(decision=Decision())
        assert not none.leaves_out(captured, Instant(600.0))
