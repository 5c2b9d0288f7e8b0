"""From the checked models to the frozen configuration. Nothing is refused here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any, TypeVar

from fsproxy.config import schema
from fsproxy.config.files import Files
from fsproxy.config.models.client_api import ClientApiSection
from fsproxy.config.models.filters import DomainSection, FiltersSection, GeoSection
from fsproxy.config.models.network import ListenSection, RoutesSection, UpstreamSection
from fsproxy.config.models.orgs import OrgSection
from fsproxy.config.models.root import AuditSection, Root, StateSection
from fsproxy.config.models.sampling import QuotaSection, RampingSection
from fsproxy.config.sections import Section
from fsproxy.core import settings
from fsproxy.core.model import Mode

T = TypeVar("T")

_CAPS = {
    schema.TopMode.ENFORCE: Mode.ENFORCE,
    schema.TopMode.SHADOW: Mode.SHADOW,
    schema.TopMode.BYPASS: Mode.OFF,
}


def assemble(root: Root, files: Files) -> schema.Config:
    """The whole configuration."""
    return schema.Config(
        upstream=_upstream(root.upstream),
        mode=root.mode,
        listen=_listen(root.listen),
        admin=_same(schema.AdminConfig, root.admin),
        workers=root.workers,
        server=_same(schema.ServerConfig, root.server),
        client_ip=_same(schema.ClientIpConfig, root.client_ip, header=root.client_ip.header.lower()),
        routes=_routes(root.routes),
        socket=root.socket,
        core=_core(root),
        state=_state(root.state),
        audit=_audit(root.audit),
        log=_same(schema.LogConfig, root.log),
        cors=_same(schema.CorsConfig, root.cors),
        files=tuple(files.hashes),
        hashes=MappingProxyType(dict(files.hashes)),
    )


def _same(kind: Callable[..., T], section: Section, **made: Any) -> T:
    """A dataclass whose fields are the section's keys, but for those that are ``made`` otherwise."""
    names = (field.name for field in fields(kind) if field.name not in made)  # type: ignore[arg-type]  # a dataclass
    return kind(**{name: getattr(section, name) for name in names}, **made)


def _upstream(section: UpstreamSection) -> schema.UpstreamConfig:
    return _same(
        schema.UpstreamConfig,
        section,
        prefixes=tuple(sorted(section.prefixes.items(), key=lambda item: (-len(item[0]), item[0]))),
        timeouts=_same(schema.UpstreamTimeouts, section.timeouts),
        tls=_same(schema.UpstreamTls, section.tls),
    )


def _listen(section: ListenSection) -> schema.ListenConfig:
    tls = None if section.tls is None else _same(schema.ServerTls, section.tls)
    return _same(schema.ListenConfig, section, tls=tls)


def _routes(section: RoutesSection) -> schema.RoutesConfig:
    return _same(
        schema.RoutesConfig,
        section,
        direct_event=section.direct.event,
        direct_identify=section.direct.identify,
        direct_set_user_vars=section.direct.set_user_vars,
    )


def _state(section: StateSection) -> schema.StateConfig:
    return schema.StateConfig(
        backend=section.backend,
        persist=None if section.persist is None else _same(schema.PersistConfig, section.persist),
        redis=_same(schema.RedisConfig, section.redis),
    )


def _audit(section: AuditSection) -> schema.AuditConfig:
    return _same(
        schema.AuditConfig,
        section,
        share_page=section.share.page,
        share_bundle=section.share.bundle,
        share_direct=section.share.direct,
        share_other=section.share.other,
        client_ip_key=section.key,
    )


def _core(root: Root) -> settings.CoreSettings:
    shared = _Shared()
    base = OrgSection(filters=root.filters, client_api=root.client_api)
    places = dict(root.orgs.places)
    if "on_error" in root.state.places:
        places["state_on_error"] = root.state.places["on_error"]
    return settings.CoreSettings(
        mode=_CAPS[root.mode],
        unlisted=root.orgs.unlisted,
        orgs_mode=root.orgs.mode,
        mobile_agents=root.orgs.mobile_agents,
        default=shared.org(base, listed=False),
        orgs=MappingProxyType({name: shared.org(org, listed=True) for name, org in root.orgs.listed.items()}),
        state_on_error=root.state.on_error,
        places=MappingProxyType(places),
    )


class _Shared:
    """Makes one object for one section, so that orgs without an override share the base's own."""

    def __init__(self) -> None:
        self._made: dict[int, tuple[Section, Any]] = {}

    def org(self, section: OrgSection, *, listed: bool) -> settings.OrgSettings:
        return settings.OrgSettings(
            listed=listed,
            enabled=section.enabled,
            mobile=section.mobile,
            filters=self._once(section.filters, self._filters),
            client_api=self._once(section.client_api, _client_api),
            places=_only(section.places, "enabled", "mobile"),
        )

    def _once(self, section: Any, make: Callable[[Any], T]) -> T:
        found = self._made.get(id(section))
        if found is None:
            # The section is kept, or its id might be given to another one.
            found = self._made[id(section)] = (section, make(section))
        made: T = found[1]
        return made

    def _filters(self, section: FiltersSection) -> settings.FilterSettings:
        once = self._once
        return settings.FilterSettings(
            on_error=section.on_error,
            on_bundles=section.on_bundles,
            script=once(section.script, lambda s: _same(settings.ScriptSettings, s)),
            url=once(section.url, lambda s: _same(settings.UrlSettings, s)),
            domain=once(section.domain, _domain),
            ip=once(section.ip, lambda s: _same(settings.IpSettings, s)),
            user_agent=once(section.user_agent, lambda s: _same(settings.UserAgentSettings, s)),
            geo=once(section.geo, _geo),
            opt_out=once(section.opt_out, lambda s: _same(settings.OptOutSettings, s)),
            deleting_user=once(section.deleting_user, lambda s: _same(settings.DeletingUserSettings, s)),
            blocked_user=once(section.blocked_user, lambda s: _same(settings.BlockedUserSettings, s)),
            ramping=once(section.ramping, _ramping),
            quota=once(section.quota, _quota),
        )


def _only(places: Mapping[str, str], *keys: str) -> Mapping[str, str]:
    return MappingProxyType({key: place for key, place in places.items() if key in keys})


def _domain(section: DomainSection) -> settings.DomainSettings:
    return _same(settings.DomainSettings, section, otherwise_capture=section.otherwise == "capture")


def _geo(section: GeoSection) -> settings.GeoSettings:
    source = section.source
    header = source.header
    if header is None and source.database is None:
        header = "cf-ipcountry"
    region_header = source.region_header
    made = _same(
        settings.GeoSource,
        source,
        header=header and header.lower(),
        region_header=region_header and region_header.lower(),
    )
    return _same(settings.GeoSettings, section, source=made)


def _ramping(section: RampingSection) -> settings.RampingSettings:
    steps = tuple(settings.RampingStep(step.start, step.share) for step in section.schedule)
    return _same(settings.RampingSettings, section, schedule=steps)


def _quota(section: QuotaSection) -> settings.QuotaSettings:
    month, day = section.anchor_day
    return _same(settings.QuotaSettings, section, anchor_month=month, anchor_day=day)


def _client_api(section: ClientApiSection) -> settings.ClientApiSettings:
    return _same(
        settings.ClientApiSettings,
        section,
        event_name_length=section.event_name.max_length,
        property_name_length=section.property_name.max_length,
        allow_hyphen=section.property_name.allow_hyphen,
        value_size=section.property_value.max_size,
        reserved=MappingProxyType(section.reserved.model_dump()),
        cardinality=_same(settings.CardinalitySettings, section.cardinality),
        rate=_same(settings.RateSettings, section.rate),
    )
