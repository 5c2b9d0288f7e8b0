"""One generation of the configuration, compiled for use. Each request keeps the one that it began with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Self

from fsproxy.config.schema import Config, CorsConfig, TopMode
from fsproxy.core.lapses import Lapse, lapses_of
from fsproxy.core.matching.origins import OriginTable
from fsproxy.core.model import FilterName, Route
from fsproxy.core.policy import Snapshot
from fsproxy.core.redact.redaction import Redaction
from fsproxy.core.run_time_lists import RunTimeList
from fsproxy.core.settings import NO_LISTS, RedactIn
from fsproxy.core.wire.answers import OriginAllowed, OwnAnswers, Registrable
from fsproxy.core.wire.client_address import ClientAddresses
from fsproxy.core.wire.headers import UpstreamHeaders
from fsproxy.core.wire.routes import Routes
from fsproxy.proxy.geo import Locator


@dataclass(frozen=True, slots=True, repr=False)
class Generation:
    """Everything that follows from one configuration and does not change with requests."""

    number: int
    config: Config
    mode: TopMode
    snapshot: Snapshot
    routes: Routes
    clients: ClientAddresses
    upstream_headers: UpstreamHeaders
    answers: OwnAnswers
    registrable: Registrable | None
    locator: Locator
    audit_shares: dict[Route, float]
    most_page: int
    """Bytes of the largest page request's body."""
    redaction: Redaction | None
    """The rules of redaction, if one of them looks into bodies; None if none does."""
    header_redaction: Redaction | None
    """The same rules, if one of them looks at headers."""
    lapses: tuple[Lapse, ...]
    """The domain rules that have an end."""
    names_kept: float
    """The longest retention of names of any org, in seconds."""
    run_time: Mapping[FilterName, RunTimeList]
    """The lists that have entries of the running program's."""

    @classmethod
    def compile(
        cls,
        config: Config,
        number: int,
        mode: TopMode | None = None,
        run_time: Mapping[FilterName, RunTimeList] = NO_LISTS,
    ) -> Self:
        """Build all lookup structures. Call it off the event loop. Raises HostError."""
        mode = mode or config.mode
        core = replace(config.core, mode=mode.cap, run_time=run_time)
        snapshot = Snapshot.compile(core, number)
        locator = Locator()
        for org, policy in ((None, snapshot.default), *snapshot.orgs.items()):
            if policy.geo_source is not None:
                locator.open(policy.geo_source, org)
        # The top-level mode does not cap it.
        redaction = Redaction.compile(core)
        routes, audit = config.routes, config.audit
        shares = dict.fromkeys(Route, audit.share_direct)
        shares |= {Route.PAGE: audit.share_page, Route.OTHER: audit.share_other}
        shares |= dict.fromkeys((Route.BUNDLE, Route.EVENT, Route.SOCKET), audit.share_bundle)
        return cls(
            number=number,
            config=config,
            mode=mode,
            snapshot=snapshot,
            routes=Routes.compile(
                page=routes.page,
                bundle=routes.bundle,
                event=routes.event,
                socket=routes.socket,
                direct_event=routes.direct_event,
                direct_identify=routes.direct_identify,
                direct_set_user_vars=routes.direct_set_user_vars,
                server_api=routes.server_api,
            ),
            clients=ClientAddresses.compile(config.client_ip.trusted_proxies, config.client_ip.header),
            upstream_headers=UpstreamHeaders.compile(
                cookies=config.upstream.cookies,
                client_header=config.client_ip.header,
                forwarded=config.upstream.forwarded,
                origin=config.upstream.origin,
            ),
            answers=OwnAnswers(_origins(config.cors)),
            registrable=_registrable(),
            locator=locator,
            audit_shares=shares,
            most_page=(
                config.server.max_body
                if mode is TopMode.BYPASS
                else min(config.server.max_page, config.server.max_body)
            ),
            redaction=redaction if redaction is not None and redaction.in_bodies else None,
            header_redaction=redaction if redaction is not None and redaction.of[RedactIn.HEADERS] else None,
            lapses=lapses_of(core),
            names_kept=max(org.client_api.cardinality.retention for org in (core.default, *core.orgs.values())),
            run_time=run_time,
        )

    def with_lists(self, run_time: Mapping[FilterName, RunTimeList]) -> Self:
        """Return the same with other lists of the running program's. Call it off the event loop."""
        core = replace(self.config.core, mode=self.mode.cap, run_time=run_time)
        return replace(self, snapshot=Snapshot.compile(core, self.number, self.snapshot), run_time=run_time)


def _origins(cors: CorsConfig) -> OriginAllowed | None:
    """Return who gets CORS headers; None: every origin."""
    return None if cors.origins is None else OriginTable.of(entry.text for entry in cors.origins).allows


@lru_cache(maxsize=1)
def _registrable() -> Registrable | None:
    """Return the public suffix list's look-up; None without the ``psl`` extra."""
    try:
        from publicsuffixlist import PublicSuffixList  # noqa: PLC0415 - an extra
    except ImportError:
        return None
    look_up: Registrable = PublicSuffixList().privatesuffix
    return look_up
