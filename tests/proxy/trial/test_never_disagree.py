"""What a trial says that a candidate would decide is what is decided once the candidate is in force.

Random traffic is sent to a proxy that tries random rules. Then each of its requests is sent once more to a proxy of its
own, which has had the same traffic before it and is given the candidate at that moment. Both must agree, whatever the
filters, the quota, ramping, the modes, the orgs' own rules and the limits on calls are.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import aiohttp
import pytest
from aiohttp import web
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from fsproxy.core.audit.privacy import address_mask
from fsproxy.core.model import SessionFacts
from fsproxy.core.trial.tally import Side
from fsproxy.proxy.flow import Flow
from fsproxy.proxy.trial.candidate import Candidate
from fsproxy.proxy.trial.seen import side
from fsproxy.proxy.trial.trial import Trial, _outcomes, _rejected
from support.call_samples import bundle, first, second, user
from support.in_process import InProcessProxy, generation, in_process
from support.rig import AGENT, page
from support.upstream import Received, RecordingUpstream

START = 1_795_287_341.0
Rejections = list[list[Side]]
Ended = tuple[Side, Rejections]
"""What became of a request: why it was blocked, and the rejections of each of its calls."""


@dataclass(frozen=True)
class Sent:
    """One request, and the seconds since the one before."""

    target: str
    body: bytes
    headers: dict[str, str]
    after: float


def ended(flow: Flow) -> Ended:
    return side(flow), [list(_rejected(each)) for each in _outcomes(flow.calls)]


@dataclass
class Stage:
    """Time and chance as the requests of one example have them, whichever proxy they are sent to."""

    number: int = 0
    now: float = START

    async def send(self, proxy: InProcessProxy, requests: list[Sent], under: dict[str, Any] | None = None) -> None:
        """Send requests one after the other, the last one once the rules ``under`` are in force."""
        self.now = START
        async with aiohttp.ClientSession() as http:
            for self.number, each in enumerate(requests):
                if under is not None and self.number == len(requests) - 1:
                    proxy.reload(under)
                self.now += each.after
                async with http.post(proxy.url + each.target, data=each.body, headers=each.headers) as response:
                    await response.read()
                await proxy.idle()


class WatchedTrial(Trial):
    """Keeps both sides of each request."""

    seen: dict[int, tuple[Ended, Ended]]
    stage: Stage

    async def _note(self, flow: Flow, facts: SessionFacts, beside: Flow) -> None:
        self.seen[self.stage.number] = ended(flow), ended(beside)
        await super()._note(flow, facts, beside)


@contextmanager
def staged() -> Iterator[Stage]:
    stage = Stage()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fsproxy.proxy.flow.now", lambda: stage.now)
        for module in ("page", "trial.trial"):
            patch.setattr(f"fsproxy.proxy.{module}.uuid4", lambda: UUID(int=stage.number * 7919 + 1))
        yield stage


@contextmanager
def recorded(stage: Stage, proxy: InProcessProxy) -> Iterator[dict[int, Ended]]:
    """What became of each request of this proxy's that was judged."""
    found: dict[int, Ended] = {}
    recorder = proxy.data_plane._recorder
    usual = recorder.record

    def record(flow: Flow) -> None:
        if flow.policy is not None:
            found[stage.number] = ended(flow)
        usual(flow)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recorder, "record", record)
        yield found


async def answer_page(_: web.BaseRequest, received: Received) -> web.Response:
    """As a backend that knows no session: every one that has no id gets one that follows from its page."""
    asked = json.loads(received.body)
    ids = {"UserUUID": asked.get("UserId") or f"user-of-{asked['PageId']}", "PageUUID": asked["PageId"]}
    session = asked.get("SessionId") or f"session-of-{asked['PageId']}"
    return web.json_response({**ids, "SessionUUID": session, "IsNewSession": True})


async def tried_and_live(
    stage: Stage, old: dict[str, Any], new: dict[str, Any], traffic: list[Sent]
) -> tuple[dict[int, tuple[Ended, Ended]], dict[int, Ended], dict[int, Ended]]:
    """Both sides as a trial has them; what was decided live under the old rules; and under the new ones, in turn."""
    async with RecordingUpstream() as upstream:
        upstream.on("POST", "/rec/page", answer_page)
        before, after = ({"upstream": {"url": upstream.url}, **rules} for rules in (old, new))
        async with in_process(before) as proxy:
            judges = proxy.data_plane.judges
            candidate = Candidate(generation(after, proxy.base, 2), judges.stores, judges.limits, 1.0)
            trial = WatchedTrial(judges, candidate, 1.0, address_mask("full"))
            trial.seen, trial.stage = {}, stage
            trial.start()
            await stage.send(proxy, traffic)
            trial.stop()
            assert not trial.tally.undecidable, trial.tally.undecidable
            assert trial.tally.pages + trial.tally.uploads == len(trial.seen)
            changes = sum(one[0].code != other[0].code for one, other in trial.seen.values())
            assert trial.tally.changed + trial.tally.uploads_changed == changes
        async with in_process(before) as proxy:
            with recorded(stage, proxy) as under_old:
                await stage.send(proxy, traffic)
        under_new = {}
        for number in range(len(traffic)):
            async with in_process(before) as proxy:
                with recorded(stage, proxy) as found:
                    await stage.send(proxy, traffic[: number + 1], after)
                under_new |= {which: each for which, each in found.items() if which == number}
        return trial.seen, under_old, under_new


# -- random rules

MODES = st.sampled_from(["enforce", "shadow", "off"])
ENFORCED = st.sampled_from(["enforce", "enforce", "shadow"])
ORGS = ["o-1", "o-2", "o-3"]
ADDRESSES = ["10.1.2.3", "192.0.2.7", "2001:db8::7"]
FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "script": st.fixed_dictionaries({"min_compiled": st.sampled_from(["2023-08-03", "2027-01-01"]), "mode": MODES}),
        "url": st.fixed_dictionaries({"schemes": st.sampled_from([["https"], ["http", "https"]]), "mode": MODES}),
        "domain": st.fixed_dictionaries(
            {
                "otherwise": st.sampled_from(["capture", "block"]),
                "rules": st.sampled_from([[], [{"capture": "*.example.com"}], [{"block": "shop.example.com"}]]),
                "mode": MODES,
            }
        ),
        "ip": st.fixed_dictionaries(
            {
                "block": st.sampled_from([[], ["10.0.0.0/8"], ["127.0.0.1"], ["2001:db8::/32", "192.0.2.7"]]),
                "mode": MODES,
            }
        ),
        "user_agent": st.fixed_dictionaries({"block": st.sampled_from([["Bot"], ["Mozilla"]]), "mode": MODES}),
        "geo": st.fixed_dictionaries({"never": st.sampled_from([["FR"], ["EU"], ["US-CA"]]), "mode": MODES}),
        "opt_out": st.fixed_dictionaries({"cookies": st.just(["out=1"]), "gpc": st.booleans(), "mode": MODES}),
        "deleting_user": st.fixed_dictionaries({"block": st.just(["uid-1"]), "mode": MODES}),
        "blocked_user": st.fixed_dictionaries({"block": st.just(["uid-2"]), "mode": MODES}),
        "ramping": st.fixed_dictionaries(
            {"share": st.sampled_from(["0%", "30%", "70%"]), "salt": st.sampled_from(["", "x"]), "mode": MODES}
        ),
        "quota": st.fixed_dictionaries(
            {"sessions": st.integers(0, 3), "cycle": st.sampled_from(["monthly", "yearly"]), "mode": MODES},
            optional={"spill_over": st.just("50%")},
        ),
        "on_bundles": st.sampled_from([[], ["ip", "user_agent", "domain", "deleting_user", "blocked_user"]]),
    },
)
EVENT_RATES = st.sampled_from([["1/s"], ["2/s", "3/min"], ["1/s per page"], ["1/s per page", "2/min"]])
CALLS = st.fixed_dictionaries(
    {},
    optional={
        "mode": MODES,
        "limits": st.sampled_from(["documents", "current"]),
        "max_calls": st.integers(1, 3),
        "max_payload": st.sampled_from(["60B", "512KB"]),
        "property_name": st.fixed_dictionaries({"allow_hyphen": st.booleans()}),
        "cardinality": st.fixed_dictionaries(
            {"event_names": st.integers(0, 2), "event_properties": st.integers(0, 3), "user_properties": st.integers(0, 2), "mode": MODES},
            optional={each: st.integers(0, 2) for each in ("page_properties", "page_properties_per_page", "page_names")},
        ),
        "rate": st.fixed_dictionaries(
            {"event": EVENT_RATES, "user": st.sampled_from([["1/s"], ["2/min"]]), "mode": MODES},
            optional={"page": st.sampled_from([["1/s"], ["1/s per page", "2/min"]])},
        ),
        "on_uninspectable": st.sampled_from(["forward", "block"]),
    },
)  # fmt: skip
ORG = st.fixed_dictionaries(
    {}, optional={"enabled": st.booleans(), "mobile": st.booleans(), "filters": FILTERS, "client_api": CALLS}
)
RULES = st.fixed_dictionaries(
    {"mode": ENFORCED},
    optional={
        "filters": FILTERS,
        "client_api": CALLS,
        "orgs": st.fixed_dictionaries(
            {"unlisted": st.sampled_from(["allow", "block"])},
            optional={"listed": st.dictionaries(st.sampled_from(ORGS[:2]), ORG, max_size=2)},
        ),
        "client_ip": st.fixed_dictionaries({"trusted_proxies": st.sampled_from([[], ["127.0.0.0/8"]])}),
        "routes": st.fixed_dictionaries({"event": st.sampled_from([[], ["/rec/event"]])}),
    },
)

# -- random traffic

HEADERS = st.fixed_dictionaries(
    {
        "X-Forwarded-For": st.sampled_from(ADDRESSES),
        "User-Agent": st.sampled_from([AGENT, "NiceBot/1", "okhttp/4"]),
        "Origin": st.sampled_from(["https://www.example.com", "https://shop.example.com"]),
    },
    optional={
        "CF-IPCountry": st.sampled_from(["FR", "US", "US-CA"]),
        "Cookie": st.sampled_from(["out=1", "fs_uid=#o-1#u-1:s-1:1:1:1#/1"]),
        "Sec-GPC": st.just("1"),
    },
)
NAMES = st.sampled_from(["Bought", "Seen", "Lost"])
PROPERTIES = st.dictionaries(
    st.sampled_from(["total_real", "items_int", "kind_str", "a-b_str", "odd"]),
    st.sampled_from([1, "x", 2.5, None, "y" * 40]),
    max_size=3,
)
PAGE_PROPERTIES = st.builds(
    lambda properties, name: {**properties, **name},
    PROPERTIES,
    st.sampled_from([{}, {"pageName": "a"}, {"pageName": "b"}]),
)
EVENTS = st.lists(
    st.one_of(
        st.builds(first, NAMES, PROPERTIES, when=st.integers(0, 3000)),
        st.builds(second, NAMES, PROPERTIES, st.just({"odd": "str"}), when=st.integers(0, 3000)),
        st.builds(first, st.just("page"), PAGE_PROPERTIES, st.just(8193), when=st.integers(0, 3000)),
        st.builds(user, PROPERTIES | st.just({"uid": "uid-1"}), when=st.integers(0, 3000)),
        st.just('{"Kind":25,"Args":["a"],"When":13}'),
    ),
    max_size=4,
)


@st.composite
def requests(
    draw: st.DrawFn,
    kinds: tuple[str, ...] = ("page", "page", "page", "bundle", "bundle", "event", "direct", "identify", "server"),
    orgs: tuple[str, ...] = ("o-1", "o-2", "o-3"),
    *,
    ordinary: bool = False,
) -> Sent:
    """A page, a bundle, an event, a direct call or one of the server API."""
    org = draw(st.sampled_from(orgs))
    user_id, session = draw(st.sampled_from(["", "u-1", "u-2"])), draw(st.sampled_from(["", "s-1", "s-2"]))
    page_id, after = draw(st.sampled_from(["p-1", "p-2"])), draw(st.sampled_from([0.0, 0.3, 5.0, 2000.0]))
    headers = {"X-Forwarded-For": draw(st.sampled_from(ADDRESSES))} if ordinary else draw(HEADERS)
    query = f"OrgId={org}&UserId={user_id}&SessionId={session}&PageId={page_id}"
    kind = draw(st.sampled_from(kinds))
    if kind == "page":
        fields: dict[str, Any] = {"OrgId": org, "UserId": user_id, "SessionId": session, "PageId": page_id}
        fields["Url"] = draw(st.sampled_from(["https://www.example.com/a", "http://shop.example.com/b", "nonsense"]))
        fields["AppId"] = draw(st.sampled_from(["", "uid-1", "uid-2"]))
        fields["CompiledTimestamp"] = draw(st.sampled_from([1_630_000_000, 1_770_727_426]))
        return Sent("/rec/page", json.dumps(page(**fields)).encode(), headers, after)
    if kind in {"bundle", "event"}:
        body = bundle(*draw(EVENTS)) if draw(st.integers(0, 9)) else b"no JSON"
        return Sent(f"/rec/{'bundle/v2' if kind == 'bundle' else 'event'}?{query}", body, headers, after)
    if kind == "identify":
        body = json.dumps({"uid": draw(st.sampled_from(["uid-1", "n/a", "ann"]))}).encode()
        return Sent(f"/client/identify?{query}", body, headers, after)
    body = json.dumps({"name": draw(NAMES), "properties": draw(PROPERTIES)}).encode()
    target = f"/client/event?{query}" if kind == "direct" else "/v2/events"
    return Sent(target, body, {**headers, "Authorization": "Basic abc"}, after)


# Where many rules meet, few requests come as far as the ledger. So what it counts is also tried by itself.
LEDGER = st.fixed_dictionaries(
    {"filters": st.fixed_dictionaries(
        {}, optional={
            "ramping": st.fixed_dictionaries({"share": st.sampled_from(["0%", "50%"])}),
            "quota": st.fixed_dictionaries({"sessions": st.integers(0, 2)}),
            "ip": st.just({"block": ["10.0.0.0/8"]}),
        }
    )}
)  # fmt: skip
FEW = st.integers(0, 1)
LIMITS = st.fixed_dictionaries(
    {"client_api": st.fixed_dictionaries(
        {}, optional={
            "cardinality": st.fixed_dictionaries(
                dict.fromkeys(("event_names", "event_properties", "user_properties"), FEW),
                optional=dict.fromkeys(("page_properties", "page_properties_per_page", "page_names"), FEW),
            ),
            "rate": st.fixed_dictionaries(
                {"event": EVENT_RATES, "user": st.just(["1/min"])}, optional={"page": st.just(["1/min per page"])}
            ),
        }
    )}
)  # fmt: skip
FOCUSED = {
    "all rules": (RULES, requests()),
    "sessions": (LEDGER, requests(kinds=("page", "page", "bundle"), orgs=("o-1",), ordinary=True)),
    "calls": (LIMITS, requests(kinds=("bundle", "event", "direct"), orgs=("o-1",), ordinary=True)),
}


@pytest.mark.parametrize("focus", FOCUSED)
@settings(max_examples=15, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(st.data())
def test_a_trial_and_the_live_decision_never_disagree(focus: str, data: st.DataObject) -> None:
    rules, sent = FOCUSED[focus]
    old, new, traffic = data.draw(rules), data.draw(rules), data.draw(st.lists(sent, min_size=2, max_size=6))
    with staged() as stage:
        tried, under_old, under_new = asyncio.run(tried_and_live(stage, old, new, traffic))
    assert {name: sides[0] for name, sides in tried.items()} == under_old
    for name, (_, said) in tried.items():
        if name in under_new:
            assert said == under_new[name], name
        else:
            assert said[0] == Side(), name  # under the new rules it is not judged at all
