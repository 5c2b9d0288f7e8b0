"""Puts a new configuration in the place of the present one while requests go on: loaded in a thread, swapped at once.

One load runs at a time; all that is asked for meanwhile is one more load. A configuration with a fault changes nothing.
What only a restart can change keeps its present value, and its key is reported.
"""

from __future__ import annotations

import asyncio
import gc
from asyncio import to_thread
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import structlog

from fsproxy.clock import monotonic, now
from fsproxy.config.problems import ConfigError, HostError
from fsproxy.config.schema import Config, ModeSwitch, TopMode
from fsproxy.core.model import Instant
from fsproxy.proxy.generation import Generation
from fsproxy.reload.build_generation import SETTLE_SECONDS, Built, Source, build
from fsproxy.reload.holding_back import HoldingBack
from fsproxy.reload.loads import Loads
from fsproxy.reload.retired import Retired
from fsproxy.reload.trials import MODE_CHANGED, PROGRAM_STOPS, RELOADED, Trials
from fsproxy.reload.watch import ConfigFiles, is_of
from fsproxy.telemetry import config_conditions
from fsproxy.telemetry.conditions import Condition
from fsproxy.telemetry.logs import configure_logs, log_faults

if TYPE_CHECKING:
    from fsproxy.proxy.data_plane import DataPlane
    from fsproxy.telemetry.metrics import Metrics

_YOUNGEST, _RECENT = 0, 1
"""Generations of the garbage collector that are walked in a few milliseconds: the rules are in neither."""
MOST_SHOWN = 100
"""Faults that ``/readyz`` and the answer to ``POST /reload`` list; the log has all."""
log = structlog.get_logger("fsproxy")


class Reloader:
    """Loads, swaps and reports. Without a ``source`` nothing is loaded and nothing watched."""

    def __init__(
        self, config: Config, source: Source | None, data_plane: Callable[[], DataPlane | None], metrics: Metrics
    ) -> None:
        self._source = source
        self._data_plane = data_plane
        self._metrics = metrics
        self.switch: ModeSwitch | None = None
        """What the admin API asked for. It outlives a reload."""
        self._load_asked = False
        self._take = False
        """Load it though it would change too much."""
        self._force = False
        """Load even if no file has changed."""
        self._closed = False
        self._retired = Retired()
        self._task: asyncio.Task[None] | None = None
        self._files = ConfigFiles(config, self.ask)
        self.holding_back = HoldingBack()
        self.trials = Trials(data_plane, lambda: self.switch, self._retired.add)
        self._errors: tuple[str, ...] = ()
        self._errors_since = now()
        self._loads = Loads(now())
        self._waits_for_restart: tuple[str, ...] = ()
        text = "Faults of the newest configuration, if it is not in use."
        metrics.gauges["config_errors"] = (text, lambda: len(self._errors))
        text = "When the configuration in use was loaded (Unix time)."
        metrics.gauges["config_loaded_timestamp_seconds"] = (text, lambda: self._loads.newest)

    def start(self) -> None:
        """Watch the files."""
        if (data_plane := self._data_plane()) is not None:
            self.holding_back.follow(data_plane)
        if self._source is not None:
            self._files.start()
        self._wake()  # for what was asked while the program started

    async def close(self) -> None:
        """Stop watching, and wait for a load that runs."""
        self._closed = True
        self.trials.end(PROGRAM_STOPS)
        await self._files.close()
        self._retired.close()
        if self._task is not None:
            await self._task

    # -- asking

    def ask(self, *, force: bool = False, take: bool = False) -> None:
        """Load soon if a file has changed; with ``force``, in any case; with ``take``, though it is held back."""
        if self._closed:
            return
        self._take |= take
        self._load_asked = True
        self._force |= force
        self._wake()

    async def reload(self, *, take: bool = False) -> dict[str, object]:
        """Load now, with ``take`` whatever it would change; return what ``state`` is afterwards."""
        if self._source is not None:
            self.ask(force=True, take=take)
            while self._task is not None and not self._task.done():
                await asyncio.shield(self._task)
        data_plane = self._data_plane()
        return {"generation": data_plane.generation.number if data_plane is not None else 0, **self.state()}

    def set_mode(self, switch: ModeSwitch) -> asyncio.Task[None] | None:
        """Switch the mode: the kill switch. ``bypass`` acts at once; for the others the rules are compiled anew first.

        Of several calls the last one wins. Return what compiles; None: the mode is in force.
        """
        self.switch = switch
        data_plane = self._data_plane()
        # Where nothing at all was judged, the privacy rules must be compiled as well.
        if data_plane is not None and switch.mode is TopMode.BYPASS and data_plane.generation.switch.privacy:
            self.trials.end(MODE_CHANGED)
            data_plane.bypass(privacy=switch.privacy)
        self._wake()
        return None if data_plane is None or data_plane.generation.switch == switch else self._task

    @property
    def loaded(self) -> float:
        """When the configuration in force was loaded (Unix time)."""
        return self._loads.newest

    def state(self) -> dict[str, object]:
        """Return what ``/readyz`` shows, without the configuration's values."""
        return {
            "loaded": self._loads.newest,
            "errors": list(self._errors[:MOST_SHOWN]),
            "error_count": len(self._errors),
            "restart_needed_for": list(self._waits_for_restart),
        }

    @property
    def loads(self) -> list[dict[str, float]]:
        """When the last generations came into force, the oldest first. The first one is that of the start."""
        data_plane = self._data_plane()
        return self._loads.listed(data_plane.generation.number if data_plane is not None else 0)

    def conditions(self, time: Instant) -> Iterator[Condition]:
        """Yield what of the configuration is not as usual: a source."""
        if (data_plane := self._data_plane()) is not None:
            present, by_api = data_plane.generation, self.switch == data_plane.generation.switch
            yield from config_conditions.mode(present.mode.value, present.privacy, time, switched=by_api)
            yield from config_conditions.lapsing(present.lapses, time)
            yield from config_conditions.old_names(present.config.warnings, time)
        yield from config_conditions.not_used(self._errors, self._errors_since)
        yield from config_conditions.waits_for_restart(self._waits_for_restart, time)
        if self._files.is_slow:
            yield config_conditions.slowly_watched(time)

    # -- doing

    def _found(self, *errors: str) -> None:
        if errors and not self._errors:
            self._errors_since = now()
        self._errors = errors

    def _wake(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._work())

    async def _work(self) -> None:
        while (data_plane := self._data_plane()) is not None:
            try:
                if self._load_asked:
                    await asyncio.sleep(SETTLE_SECONDS)
                    force, take = self._force, self._take
                    self._load_asked = self._force = self._take = False
                    await self._load(data_plane, force=force, take=take)
                elif self.switch is not None and self.switch != data_plane.generation.switch:
                    await self._recompile(data_plane, self.switch)
                else:
                    return
            except Exception as error:
                # The rules in use stay.
                self._metrics.own_failures[("reload",)] += 1
                log.exception("the configuration could not be loaded: a fault of ours")
                self._found(f"could not be loaded: {type(error).__name__}")
                return

    async def _recompile(self, data_plane: DataPlane, switch: ModeSwitch) -> None:
        before = data_plane.generation
        fresh = await to_thread(Generation.compile, before.config, before.number, switch, before.run_time)
        if self.switch is switch and not self._load_asked:
            self.trials.end(MODE_CHANGED)
            data_plane.apply(fresh)

    async def _load(self, data_plane: DataPlane, *, force: bool, take: bool) -> None:
        source = self._source
        if source is None:
            return
        started, files, before = monotonic(), self._files, data_plane.generation
        found = await to_thread(files.read)
        if not force:
            if files.has_tried(found):
                return
            if is_of(found, before.config):
                # A change was taken back, or the files can be read again: they hold what is in use.
                self._found()
                self.holding_back.held = None
                files.use(before.config, found)
                return
        gc.collect(_RECENT)
        try:
            built = await to_thread(build, source, before, self.switch)
        except ConfigError as error:
            self._found(*(each.without_value for each in error.problems))
            self.holding_back.held = None
            await files.note_faults(before.config, error, found)
            await to_thread(log_faults, error.problems)
            return
        except HostError as error:
            files.note_unusable(found)
            self._found(f"cannot be used: {error}")
            return
        if not take and await self.holding_back.holds(before, built.generation):
            await files.note_faults(before.config, ConfigError((), built.generation.config.files), found)
            self._found()
            self._retired.add(built.generation)
            return
        self._swap(data_plane, built)
        log.info("configuration loaded", generation=before.number + 1, seconds=round(monotonic() - started, 3))

    def _swap(self, data_plane: DataPlane, built: Built) -> None:
        self.trials.end(RELOADED)
        self._retired.add(data_plane.generation)
        before, number, generation = data_plane.generation.config, data_plane.generation.number, built.generation
        switch = self.switch
        if switch is not None and switch.mode is TopMode.BYPASS and generation.switch.privacy:
            # It was asked for while this was compiled.
            generation = generation.bypassed(privacy=switch.privacy)
        data_plane.apply(generation, built.context)
        self.holding_back.follow(data_plane)
        if before.log != generation.config.log:
            configure_logs(generation.config.log.level, generation.config.log.format)
        # These objects stay long: no collection need walk them. Garbage goes first, as it would stay if frozen.
        gc.collect(_YOUNGEST)
        gc.freeze()
        self._found()
        self._loads.add(now(), generation.number, number)
        self._files.use(generation.config)
        self._waits_for_restart = built.waits_for_restart
