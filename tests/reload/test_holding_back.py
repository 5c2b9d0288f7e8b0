"""``reload.max_change``: a configuration that would change too many of the last pages waits until it is taken."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from fsproxy.admin.trial.answers import held_back
from fsproxy.proxy.trial import kept_pages
from fsproxy.reload.build_generation import Source
from fsproxy.reload.reloader import Reloader
from support.in_process import InProcessProxy, in_process
from support.rig import AGENT, ORIGIN, page
from support.upstream import RecordingUpstream

GUARD = {"reload": {"max_change": "20%"}}


@dataclass
class Guarded:
    proxy: InProcessProxy
    reloader: Reloader
    path: Path
    http: aiohttp.ClientSession
    url: str

    async def pages(
        self, count: int, address: str = "198.51.100.7", more: Mapping[str, str] | None = None, **fields: Any
    ) -> None:
        headers = {"Origin": ORIGIN, "User-Agent": AGENT, "X-Forwarded-For": address, **(more or {})}
        for _ in range(count):
            async with self.http.post(f"{self.proxy.url}/rec/page", json=page(**fields), headers=headers) as response:
                await response.read()
        await self.proxy.idle()

    async def load(self, *, take: bool = False, **rules: Any) -> int:
        """Write these rules and load them; return the generation that is in force then."""
        self.path.write_text(json.dumps({"upstream": {"url": self.url}, "state": {"persist": None}, **GUARD, **rules}))
        return (await self.reloader.reload(take=take))["generation"]  # type: ignore[return-value]

    @property
    def held(self) -> Any:
        return self.reloader.holding_back.held

    @property
    def warnings(self) -> list[str]:
        return [text for text in self.proxy.data_plane.conditions.warnings() if "held back" in text]


@asynccontextmanager
async def guarded(upstream: RecordingUpstream, folder: Path, **rules: Any) -> AsyncIterator[Guarded]:
    path = folder / "fsproxy.yaml"
    config = {"upstream": {"url": upstream.url}, **GUARD, **rules}
    path.write_text(json.dumps(config))
    async with in_process(config) as proxy, aiohttp.ClientSession() as http:
        reloader = Reloader(
            proxy.data_plane.generation.config, Source(path, {}), lambda: proxy.data_plane, proxy.metrics
        )
        reloader.holding_back.follow(proxy.data_plane)
        yield Guarded(proxy, reloader, path, http, upstream.url)
        await reloader.close()


BLOCKS = {"filters": {"ip": {"block": ["10.0.0.0/8"]}}}


async def test_what_changes_too_much_waits_until_it_is_taken(upstream: RecordingUpstream, tmp_path: Path) -> None:
    async with guarded(upstream, tmp_path) as g:
        await g.pages(7)
        await g.pages(3, "10.0.0.1")
        assert await g.load(**BLOCKS) == 1
        assert g.held.changed_share == pytest.approx(0.3)
        assert (g.held.tally.pages, g.held.tally.changed) == (10, 3)
        (change,) = g.held.tally.changes.values()
        assert (change.new.code, change.new.rule, change.pages) == (5, "ip:block:10.0.0.0/8", 3)
        assert g.warnings == ["a changed configuration is held back: it would change 30.0% of the pages"]
        # Asking again without force judges it again.
        assert await g.load(**BLOCKS) == 1
        assert await g.load(take=True, **BLOCKS) == 2
        assert (g.held, g.warnings) == (None, [])


JANE = {"Url": "https://jane.example.com/jane@doe.com/x"}


@pytest.mark.parametrize(("people", "cookie", "said"), [
    (1, "", "all from 198.51.0.0/24"),
    (3, "", ""),
    (4, "", "all under one path, /jane@doe.com/"),
    (1, "fs_optout=1", ""),
    (9, "fs_optout=1", ""),
])  # fmt: skip
async def test_a_path_is_said_only_of_more_than_three_visitors_who_may_be_named(
    upstream: RecordingUpstream, tmp_path: Path, people: int, cookie: str, said: str
) -> None:
    opt_out = {"mode": "shadow", "cookies": ["fs_optout=1"]}
    async with guarded(upstream, tmp_path, filters={"opt_out": opt_out}) as g:
        headers = {"Cookie": cookie} if cookie else {}
        await g.pages(9)
        for number in range(9):
            address = f"198.51.{number % people}.7"
            await g.pages(1, address, headers, UserId=f"u-{number % people}", **JANE)
        await g.load(filters={"domain": {"rules": [{"block": "jane.example.com"}]}, "opt_out": opt_out})
        told = held_back(g.held)
        assert told is not None
        assert [each["hint"] for each in told["changes"]] == [said]


async def test_however_often_it_is_judged_it_is_one_condition(upstream: RecordingUpstream, tmp_path: Path) -> None:
    async with guarded(upstream, tmp_path) as g:
        conditions, kept = g.proxy.data_plane.conditions, g.reloader.holding_back._kept
        assert kept is not None
        judged = kept.judged

        async def looked_at_meanwhile(*args: Any) -> Any:
            conditions.look()
            return await judged(*args)

        kept.judged = looked_at_meanwhile  # type: ignore[method-assign]
        await g.pages(7)
        await g.pages(3, "10.0.0.1")
        with capture_logs() as logs:
            for rules in (BLOCKS, BLOCKS, {"filters": {"ip": {"block": ["0.0.0.0/0"]}}}):
                assert await g.load(**rules) == 1
                conditions.look()
            (shown,) = [each for each in conditions.present() if each.id.startswith("reload:")]
            assert await g.load(take=True, **BLOCKS) == 2
            conditions.look()
        assert (shown.id, shown.text.rpartition(" it would ")[2]) == ("reload:held-back", "change 100.0% of the pages")
        told = [each["event"] for each in logs if each.get("condition", "").startswith("reload:held-back")]
        assert [each.partition(" held back")[0] for each in told] == [
            "a changed configuration is",
            "over: a changed configuration is",
        ]


async def test_what_changes_no_more_than_the_limit_is_loaded(upstream: RecordingUpstream, tmp_path: Path) -> None:
    async with guarded(upstream, tmp_path) as g:
        await g.pages(8)
        await g.pages(2, "10.0.0.1")
        assert await g.load(**BLOCKS) == 2
        assert g.held is None


async def test_a_file_that_is_changed_again_is_judged_anew_and_one_that_is_taken_back_waits_no_more(
    upstream: RecordingUpstream, tmp_path: Path
) -> None:
    async with guarded(upstream, tmp_path) as g:
        before = g.path.read_text()
        await g.pages(4, "10.0.0.1")
        await g.load(**BLOCKS)
        assert g.held is not None
        g.path.write_text(before)
        g.reloader.ask()
        assert g.reloader._task is not None
        await g.reloader._task
        assert g.held is None
        number = await g.load(**BLOCKS)
        assert g.held is not None
        assert await g.load(filters={"ip": {"block": ["192.0.2.1"]}}) == number + 1


async def test_what_was_taken_is_what_the_next_one_is_compared_with(
    upstream: RecordingUpstream, tmp_path: Path
) -> None:
    async with guarded(upstream, tmp_path) as g:
        await g.pages(4, "10.0.0.1")
        assert await g.load(take=True, **BLOCKS) == 2
        assert await g.load(**BLOCKS) == 3, "nothing changes, though these pages were captured at their time"
        assert await g.load() == 3, "they would be captured again"
        assert g.held.changed_share == 1


async def test_sessions_are_taken_as_they_were_at_their_pages(upstream: RecordingUpstream, tmp_path: Path) -> None:
    """Ramping concerns new sessions alone: each of these is under way by now, but only the second page came then."""
    async with guarded(upstream, tmp_path) as g:
        await g.pages(2, SessionId="s-1", UserId="u-1")
        await g.load(filters={"ramping": {"share": "0%"}})
        assert (g.held.tally.pages, g.held.tally.changed) == (2, 1)


async def test_without_the_key_no_page_is_kept_and_everything_is_loaded(
    upstream: RecordingUpstream, tmp_path: Path
) -> None:
    async with guarded(upstream, tmp_path, reload={}) as g:
        usual = g.proxy.data_plane.judges.pages.answer
        await g.pages(4, "10.0.0.1")
        assert await g.load(**BLOCKS, reload={"max_change": "5%"}) == 2
        assert g.proxy.data_plane.judges.pages.answer != usual
        await g.pages(4, "10.0.0.1")
        assert await g.load(take=True, reload={}) == 3
        assert g.proxy.data_plane.judges.pages.answer == usual


async def test_without_a_page_nothing_is_held_back(upstream: RecordingUpstream, tmp_path: Path) -> None:
    async with guarded(upstream, tmp_path) as g:
        assert await g.load(**BLOCKS) == 2


async def test_what_is_kept_is_bounded_and_every_page_has_the_same_chance(
    upstream: RecordingUpstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_pages, "MOST_OF_A_MINUTE", 5)
    moment = [1_795_287_300.0]
    monkeypatch.setattr("fsproxy.proxy.flow.now", lambda: moment[0])
    monkeypatch.setattr("fsproxy.reload.holding_back.now", lambda: moment[0])
    async with guarded(upstream, tmp_path) as g:
        kept = g.reloader.holding_back._kept
        assert kept is not None
        draws = iter([0.0, 0.99, 0.5] * 20)
        kept._draw = lambda: next(draws)
        for _ in range(13):
            await g.pages(7)
            moment[0] += 60
        assert len(kept) == 5 * (kept_pages.KEPT_MINUTES + 1)
        moment[0] += 600
        await g.pages(1, "10.0.0.1")
        await g.load(**BLOCKS)
        assert (g.held.changed_share, g.held.tally.pages) == (1, 1)


async def test_the_kept_hold_no_connection_and_no_old_configuration(
    upstream: RecordingUpstream, tmp_path: Path
) -> None:
    async with guarded(upstream, tmp_path) as g:
        await g.pages(1)
        kept = g.reloader.holding_back._kept
        assert kept is not None
        (minute,) = kept._minutes
        flow = minute.kept[0].flow
        assert isinstance(flow.connection, kept_pages.Peer)
        assert flow.generation is None
        await asyncio.sleep(0)
