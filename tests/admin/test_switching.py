"""Two changes of the mode, one after the other."""

from __future__ import annotations

import asyncio

from fsproxy.config.schema import Config, ModeSwitch, TopMode, UpstreamConfig
from fsproxy.http.sweeper import Sweeper
from fsproxy.proxy.data_plane import DataPlane
from fsproxy.proxy.generation import Generation
from fsproxy.reload.reloader import Reloader
from fsproxy.telemetry.metrics import Metrics


async def test_bypass_is_not_undone_by_a_change_that_was_asked_for_before_and_took_longer() -> None:
    """``enforce`` compiles the rules anew; the kill switch, pulled meanwhile, must hold."""
    config = Config(upstream=UpstreamConfig(url="http://127.0.0.1:9"))
    metrics, loop = Metrics(), asyncio.get_running_loop()
    sweeper = Sweeper(loop)
    data_plane = DataPlane(Generation.compile(config, 1), metrics, loop, sweeper)
    reloader = Reloader(config, None, lambda: data_plane, metrics)
    reloader.set_mode(ModeSwitch(TopMode.ENFORCE))
    reloader.set_mode(ModeSwitch(TopMode.BYPASS))
    await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))
    mode = data_plane.generation.mode
    sweeper.close()
    data_plane.upstream.close()
    assert mode is TopMode.BYPASS


async def test_the_answer_that_privacy_is_on_again_comes_when_it_is() -> None:
    config = Config(upstream=UpstreamConfig(url="http://127.0.0.1:9"))
    metrics, loop = Metrics(), asyncio.get_running_loop()
    sweeper = Sweeper(loop)
    data_plane = DataPlane(Generation.compile(config, 1), metrics, loop, sweeper)
    reloader = Reloader(config, None, lambda: data_plane, metrics)
    switches = [ModeSwitch(TopMode.BYPASS, privacy=False), ModeSwitch(TopMode.BYPASS), ModeSwitch(TopMode.ENFORCE)]
    waits = []
    for switch in switches:
        compiling = reloader.set_mode(switch)
        waits.append(compiling is not None)
        if compiling is not None:
            await asyncio.wait({compiling})
        assert data_plane.generation.switch == switch
    sweeper.close()
    data_plane.upstream.close()
    assert waits == [False, True, True]
