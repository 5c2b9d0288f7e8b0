"""Making the next generation out of the configuration file, in a thread beside the running event loop."""

from __future__ import annotations

import contextlib
import gc
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from fsproxy.config.files import MOST_BYTES, SentFiles
from fsproxy.config.loader import load, load_text, located
from fsproxy.config.problems import ConfigError, HostError
from fsproxy.config.restart import with_what_can_change
from fsproxy.config.schema import ModeSwitch
from fsproxy.config.tls import client_context
from fsproxy.http.upstream.hosts import same_hosts
from fsproxy.proxy.generation import Generation
from fsproxy.reload.free_in_steps import free_in_steps

SETTLE_SECONDS = 0.1
"""Seconds to wait after a change: several files that are written one after the other are one change."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where the configuration comes from."""

    path: Path
    environ: Mapping[str, str] = field(repr=False)
    """What ``${NAME}`` refers to."""


@dataclass(frozen=True, slots=True)
class Built:
    """A generation that is ready for use."""

    generation: Generation
    context: ssl.SSLContext | None
    """For the upstream's TLS, if its connections cannot stay."""
    waits_for_restart: tuple[str, ...]


def build(source: Source, before: Generation, switch: ModeSwitch | None) -> Built:
    """Load and compile. Raises ConfigError and HostError."""
    leftovers: list[object] = []
    with _no_full_collection():
        try:
            loaded = load(source.path, source.environ, leftovers)
        finally:
            free_in_steps(leftovers)
        config, names = with_what_can_change(before.config, loaded)
        new = not same_hosts(before.config.upstream, config.upstream)
        context = client_context(config.upstream.tls) if new else None
        return Built(Generation.compile(config, before.number + 1, switch, before.run_time), context, names)


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A configuration that is to be tried, with all that it refers to: nothing of this machine is read for it.

    Only the databases and the like that it names by path are, as after a reload.
    """

    config: Annotated[str, Meta(max_length=MOST_BYTES, description="The text of the file.")]
    name: Annotated[str, Meta(max_length=255, description="The file's name, for places in it.")] = "candidate.yaml"
    lists: Annotated[
        dict[str, str], Meta(description="The texts of its lists, by the names that follow file: in it.")
    ] = msgspec.field(default_factory=dict)
    environ: Annotated[dict[str, str], Meta(description="The values of the variables that it names.")] = msgspec.field(
        default_factory=dict
    )
    seconds: Annotated[float, Meta(ge=1, le=86_400, description="How long it is tried, in seconds.")] = msgspec.field(
        default=600.0, name="for"
    )
    share: Annotated[float, Meta(gt=0, le=1, description="The share of requests that it judges.")] = 0.1

    def __repr__(self) -> str:
        """Return nothing of the variables' values."""
        return f"<{type(self).__name__} {self.name!r}>"


def build_candidate(asked: Asked, before: Generation, switch: ModeSwitch | None) -> Built:
    """Load and compile what is only tried beside ``before``. Raises ConfigError."""
    with _no_full_collection():
        loaded = load_text(asked.config, asked.name, asked.environ, SentFiles(asked.lists))
        config, names = with_what_can_change(before.config, loaded)
        try:
            return Built(Generation.compile(config, before.number, switch, before.run_time), None, names)
        except HostError as error:
            raise ConfigError([located(error, asked.config, asked.name, asked.environ)]) from None


@contextlib.contextmanager
def _no_full_collection() -> Iterator[None]:
    """Let the garbage collector walk nothing of what is made now, which is no garbage.

    A full collection would hold the event loop: 30 ms at 100,000 rules.
    """
    young, middle, old = gc.get_threshold()
    gc.set_threshold(young, middle, 1_000_000)
    try:
        yield
    finally:
        gc.set_threshold(young, middle, old)
