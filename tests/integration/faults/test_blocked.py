"""What recorders do when they are blocked costs nothing of what was allowed."""

from __future__ import annotations

import json

from integration.faults.scene import BUNDLES, scene


async def test_the_last_upload_of_an_allowed_page_is_delivered_after_the_next_page_was_blocked() -> None:
    async with scene("leftover", {"filters": {"domain": {"rules": [{"block": "closed.example.com"}]}}}) as it:
        recorder = it.recorder(1, leaves=0.0)
        while recorder.leftover is None:
            assert await recorder.visit(BUNDLES)
        before = it.arrivals.forwarded
        assert not await recorder.visit(BUNDLES, Url="https://closed.example.com/")
        await recorder.finish()
        assert it.journal.refused == {4: 1}
        assert it.arrivals.forwarded == before + 1
        await it.check(refused=frozenset({4}))


async def test_a_visitor_that_was_ramped_out_comes_in_with_the_same_id_once_the_share_is_raised() -> None:
    async with scene("ramping", {"filters": {"ramping": {"share": "0%"}}}) as it:
        recorder = it.recorder(1)
        assert not await recorder.visit(BUNDLES)
        given = recorder.user_id
        assert given
        assert not await recorder.visit(BUNDLES)
        assert recorder.user_id == given
        assert it.journal.refused == {8: 2}
        whole = json.loads(it.proxy.config_path.read_text())
        it.proxy.write_config({**whole, "filters": {}})
        async with it.http.post(f"{it.proxy.admin_url}/reload", json={}) as response:
            assert response.status == 200
        assert await recorder.visit(BUNDLES)
        assert recorder.user_id == given
        await recorder.finish()
        await it.check(refused=frozenset({8}))
