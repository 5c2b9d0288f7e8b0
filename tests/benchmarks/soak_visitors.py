"""The soak's visitors: recorders, blocked pages, calls, sockets and whatever else passes, each held to its outcome."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import aiohttp

from soak_load import ANSWER_SECONDS, Load
from support.recorder import Recorder
from support.rig import AGENT, ORIGIN, page
from support.uploads import Upload, compose

ORG = "o-SOAK-na1"
FIRST_SEEN = 1_770_727_426
CLOSED = "closed.example.com"
"""A domain that is blocked."""
ADDRESS = "203.0.113.9"
"""An address that is blocked."""
RULES: dict[str, Any] = {
    "orgs": {"listed": {"o-OFF-na1": {"enabled": False}}},
    "filters": {
        "ip": {"block": [f"{ADDRESS}/32"]},
        "domain": {"rules": [{"block": CLOSED}]},
        "quota": {"sessions": 100_000_000},
    },
    # Recorders of the soak live faster than the clock that rates are judged by.
    "client_api": {"rate": {"event": ["100000/s"], "user": ["100000/s"]}},
}
BLOCKED: tuple[tuple[int, dict[str, Any], dict[str, str]], ...] = (
    (2, {"OrgId": "o-OFF-na1"}, {}),
    (4, {"Url": f"https://{CLOSED}/"}, {}),
    (5, {}, {"X-Forwarded-For": ADDRESS}),
    (9, {"Url": "ftp://app.example.com/"}, {}),
    (10, {}, {"Cookie": "fs_optout=1"}),
)
"""Code, fields and headers of pages that are blocked."""


def plain(value: object) -> Upload:
    """A body that goes on as it is."""
    return Upload(json.dumps(value, separators=(",", ":")).encode(), None, zipped=False)


def recorder(load: Load, random: Random) -> Recorder:
    """One that lives for the whole soak. It waits for every answer, as each of its requests is held to one."""
    return Recorder(
        load.http, load.url, load.arrivals, load.journal, random, ORG, patience=0.01, pause=load.pause, leaves=0.0
    )


async def record(load: Load, random: Random) -> None:
    """Pages and bundles of visitors, one visitor after the other."""
    while not load.enough:
        each = recorder(load, random)
        for _ in range(random.randrange(1, 4)):
            await each.visit(random.randrange(2, 16))
            load.sent["page"] += 1
            await load.rest(random)
        await each.finish()


async def be_blocked(load: Load, random: Random) -> None:
    """Pages that are blocked, and a bundle of them, which is too."""
    while not load.enough:
        code, fields, headers = random.choice(BLOCKED)
        asked, began = page(**{"OrgId": ORG, **fields}), asyncio.get_running_loop().time()
        named = {name.replace("-", "_"): value for name, value in headers.items()}
        told = await load.ask("blocked page", "/rec/page", plain(asked), 202, forwarded=False, **named)
        if told is not None and told["reason_code"] != code:
            load.problems.append(f"a page was blocked with {told['reason_code']}, not {code}")
        await load.rest(random)
        target = f"/rec/bundle/v2?OrgId={asked['OrgId']}&UserId=u&SessionId=s&PageId={asked['PageId']}&Seq=1"
        if told is not None and random.random() < 0.3:
            upload = plain(
                {"Seq": 1, "When": 0, "Evts": [{"Kind": 2, "Args": ["x" * random.randrange(999)], "When": 1}]}
            )
            await load.ask("blocked bundle", target, upload, 202, forwarded=False, known_since=began)
            await load.rest(random)


async def call(load: Load, random: Random) -> None:
    """Direct events and server-side ones: valid, with a property to cut, and invalid."""
    while not load.enough:
        session = f"s-{random.randrange(100_000)}"
        target = f"/client/event?OrgId={ORG}&UserId=u-1&SessionId={session}&PageId=p-1"
        number = random.randrange(1000)
        good = {"price_real": number / 4, "items_strs": ["a", "é 🙂"]}
        whole = plain({"name": "Bought", "properties": good})
        match random.randrange(5):
            case 0:
                await load.ask("direct event", target, whole, 200, Content_Type="application/json")
            case 1:
                with_wrong = plain({"name": "Bought", "properties": {**good, "wrong_int": "text"}})
                cut = Upload(with_wrong.body, whole.body, zipped=False)
                await load.ask("direct event, cut", target, cut, 200, Content_Type="application/json")
            case 2:
                bad = plain({"name": "", "properties": good})
                await load.ask("invalid event", target, bad, 400, forwarded=False, Content_Type="application/json")
            case 3:
                event = plain({"name": "Bought", "user": {"uid": "u"}, "properties": {"n": number}})
                headers = {"Content_Type": "application/json", "Authorization": "Basic c29hazo="}
                await load.ask("server event", "/v2/events", event, 200, **headers)
            case _:
                variables = plain({"plan_str": "x", "age_int": number})
                headers = {"Content_Type": "application/json", "Authorization": "Basic c29hazo="}
                await load.ask("server user", "/users/v1/individual/u-1/customvars", variables, 200, **headers)
        await load.rest(random)


async def pass_through(load: Load, random: Random) -> None:
    """What is not captured at all, sometimes large."""
    nothing = Upload(b"", None, zipped=False)
    while not load.enough:
        match random.randrange(4):
            case 0:
                await load.ask("settings", f"/s/settings/{ORG}/v1/web", nothing, 200, method="GET")
            case 1:
                await load.ask("data layer", "/datalayer/x%20y?z=%zz&&", nothing, 200, method="GET")
            case 2:
                await load.ask("other", "/rec/queryResources", Upload(random.randbytes(500), None, zipped=False), 200)
            case _:
                size = random.choice((1_000, 200_000, 1_000_000)) if random.random() < 0.2 else 100
                await load.ask(
                    "resource", "/rec/uploadResource", Upload(random.randbytes(size), None, zipped=False), 200
                )
        await load.rest(random)


async def speak(load: Load, random: Random) -> None:
    """Sockets: each frame comes back from the upstream as it should have reached it."""
    headers = {"Origin": ORIGIN, "User-Agent": AGENT, "X-Forwarded-For": "198.51.100.7"}
    loop = asyncio.get_running_loop()
    while not load.enough:
        began = loop.time()
        try:
            async with load.http.ws_connect(f"{load.url}/rec/sock?OrgId={ORG}", headers=headers) as socket:
                for seq in range(1, random.randrange(3, 20)):
                    began = loop.time()
                    await _frame(load, socket, random, seq)
                    await load.rest(random)
        except (aiohttp.ClientError, OSError, ConnectionError) as error:
            if load.journal.trouble.excuses(began):
                load.failed["socket"] += 1
            else:
                load.problems.append(f"socket: {type(error).__name__} while nothing was broken")
            await load.rest(random)


async def _frame(load: Load, socket: aiohttp.ClientWebSocketResponse, random: Random, seq: int) -> None:
    upload = compose(random, seq)

    def frame(bundle: str) -> str:
        ids = f'"OrgId":"{ORG}","UserId":"u-1","SessionId":"s-1","PageId":"p-{id(socket)}","Seq":{seq}'
        return (
            f'{{"Cmd":2,"Seq":{seq},"Bundle":{{"Bundle":{bundle},{ids},"PageStart":{FIRST_SEEN},"PrevBundleTime":0}}}}'
        )

    load.sent["frame"] += 1
    load.journal.calls += len(upload.calls)
    await socket.send_str(frame(upload.text))
    async with asyncio.timeout(ANSWER_SECONDS):
        message = await socket.receive()
    if message.type is not aiohttp.WSMsgType.TEXT or '"Fail":{"Status":502' in message.data:
        raise ConnectionError
    left = upload.cleaned.decode() if upload.cleaned is not None else upload.text
    load.frames += 1
    if message.data != frame(left):
        load.problems.append(f"a frame was altered: {frame(upload.text)!r} {message.data!r}")


Visitor = Callable[[Load, Random], Awaitable[None]]
VISITORS: tuple[tuple[Visitor, int], ...] = ((record, 10), (be_blocked, 2), (call, 3), (pass_through, 3), (speak, 2))
"""Of each so many at the same time."""
EACH = sum(number for _, number in VISITORS)
