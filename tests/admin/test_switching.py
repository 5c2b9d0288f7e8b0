"""Two changes of the mode, one after the other."""

from __future__ import annotations

import asyncio

from fsproxy.app import App
from fsproxy.config.schema import Config, TopMode, UpstreamConfig
from fsproxy.http.sweeper import Sweeper
from fsproxy.proxy.data_plane import DataPlane
from fsproxy.proxy.generation import Generation


async def test_bypass_is_not_undone_by_a_change_that_was_asked_for_before_and_took_longer() -> None:
    """``enforce`` compiles the rules anew; the kill switch, pulled meanwhile, must hold."""
    config = Config(upstream=UpstreamConfig(url="http://127.0.0.1:9"))
    app, loop = App(config), asyncio.get_running_loop()
    sweeper = Sweeper(loop)
    data_plane = app._data_plane = DataPlane(Generation.compile(config, 1), app.metrics, loop, sweeper)
    app.set_mode(TopMode.ENFORCE)
    app.set_mode(TopMode.BYPASS)
    await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))
    mode = data_plane.generation.mode
    sweeper.close()
    data_plane.upstream.close()
    assert mode is TopMode.BYPASS
