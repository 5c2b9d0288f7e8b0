"""One generation of the configuration, compiled for use. Each request keeps the one that it began with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Self

from fsproxy.config.schema import Config, CorsConfig, ModeSwitch, SocketMode, TopMode
from fsproxy.core.lapses import Lapse, lapses_of
from fsproxy.core.matching.origins import OriginTable
from fsproxy.core.model import FilterName, Mode, Route
from fsproxy.core.policy import Snapshot
from fsproxy.core.redact.redaction import Redaction
from fsproxy.core.run_time_lists import RunTimeList
from fsproxy.core.settings import NO_LISTS, PRIVACY, REDACT, RedactIn
from fsproxy.core.wire.answers import OriginAllowed, OwnAnswers, Registrable
from fsproxy.core.wire.client_address import ClientAddresses
from fsproxy.core.wire.headers import UpstreamHeaders
from fsproxy.core.wire.routes import Routes
from fsproxy.http.upstream.hosts import rewrites_of
from fsproxy.proxy.geo import Locator


@dataclass(frozen=True, slots=True, repr=False)
class Generation:
    """Everything that follows from one configuration and does not change with requests."""

    number: int
    config: Config
    switch: ModeSwitch
    """What it was compiled for: the configuration's mode, or the one that ``POST /mode`` asked for."""
    mode: TopMode
    privacy: tuple[str, ...]
    """The privacy rules in force, by their sections; only ``POST /mode`` switches them off (rules.md 8)."""
    judges: bool
    """Whether pages and sockets are judged: under ``bypass`` only by opting out and for users being deleted."""
    judges_uploads: bool
    """Whether uploads are. Opting out is a matter of pages."""
    forwards_unreadable: bool
    """Under ``bypass``, a body that cannot be read goes on, unless redaction must see it."""
    in_force: str
    """The mode, and if it is not ``enforce``, the privacy rules that are in force in spite of it."""
    socket: SocketMode
    """What happens to WebSockets under this mode."""
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
        switch: ModeSwitch | None = None,
        run_time: Mapping[FilterName, RunTimeList] = NO_LISTS,
    ) -> Self:
        """Build all lookup structures. Call it off the event loop. Raises HostError.

        ``switch``: the mode that takes the place of the configuration's.
        """
        switch = switch or ModeSwitch(config.mode)
        core = replace(config.core, mode=switch.mode.cap, run_time=run_time)
        snapshot = Snapshot.compile(core, number)
        locator = Locator()
        for org, policy in ((None, snapshot.default), *snapshot.orgs.items()):
            if policy.geo_source is not None:
                locator.open(policy.geo_source, org)
        routes, audit = config.routes, config.audit
        shares = dict.fromkeys(Route, audit.share_direct)
        shares |= {Route.PAGE: audit.share_page, Route.OTHER: audit.share_other}
        shares |= dict.fromkeys((Route.BUNDLE, Route.EVENT, Route.SOCKET), audit.share_bundle)
        return cls(
            number=number,
            config=config,
            **_under(switch, config, snapshot, Redaction.compile(core)),
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
                rewrites=rewrites_of(config.upstream),
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
            lapses=lapses_of(core),
            names_kept=max(org.client_api.cardinality.retention for org in (core.default, *core.orgs.values())),
            run_time=run_time,
        )

    def with_lists(self, run_time: Mapping[FilterName, RunTimeList]) -> Self:
        """Return the same with other lists of the running program's. Call it off the event loop."""
        core = replace(self.config.core, mode=self.mode.cap, run_time=run_time)
        snapshot = Snapshot.compile(core, self.number, self.snapshot)
        return replace(self, snapshot=snapshot, run_time=run_time, **self._again(self.switch, snapshot))

    def bypassed(self, *, privacy: bool) -> Generation:
        """Return this generation under ``bypass``, at once. ``privacy``: the privacy rules, which it has, stay."""
        snapshot = self.snapshot
        if privacy and self.mode is not TopMode.BYPASS:
            snapshot = snapshot.with_privacy_alone(self.config.core)
        return replace(self, snapshot=snapshot, **self._again(ModeSwitch(TopMode.BYPASS, privacy), snapshot))

    def _again(self, switch: ModeSwitch, snapshot: Snapshot) -> dict[str, Any]:
        return _under(switch, self.config, snapshot, self.redaction or self.header_redaction)


def _under(switch: ModeSwitch, config: Config, snapshot: Snapshot, redaction: Redaction | None) -> dict[str, Any]:
    """Return the fields of a generation that depend on the mode."""
    redaction = redaction if switch.privacy else None
    bypass, server, socket = switch.mode is TopMode.BYPASS, config.server, config.socket
    enforced = {
        f.name.value
        for policy in (snapshot.default, *snapshot.orgs.values())
        for f in policy.unnaming
        if f.mode is Mode.ENFORCE
    }
    if redaction is not None and not all(rule.counts_alone for rule in redaction.rules):
        enforced.add(REDACT)
    privacy = tuple(name for name in PRIVACY if name in enforced) if switch.privacy else ()
    judges_uploads = not bypass or FilterName.DELETING_USER in privacy
    judges = judges_uploads or FilterName.OPT_OUT in privacy
    if bypass and socket is SocketMode.REFUSE:
        socket = SocketMode.JUDGE
    return {
        "switch": switch,
        "mode": switch.mode,
        "privacy": privacy,
        "judges": judges,
        "judges_uploads": judges_uploads,
        "forwards_unreadable": bypass and not (redaction is not None and redaction.fails_closed),
        "in_force": " ".join((switch.mode.value, *privacy)) if switch.mode is not TopMode.ENFORCE else "enforce",
        "socket": socket if judges else SocketMode.TUNNEL,
        "redaction": redaction if redaction is not None and redaction.in_bodies else None,
        "header_redaction": redaction if redaction is not None and redaction.of[RedactIn.HEADERS] else None,
        "most_page": server.max_body if bypass else min(server.max_page, server.max_body),
    }


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
