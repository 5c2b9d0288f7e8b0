"""The one line at the start: what is enforced or in shadow, whom the proxy trusts, and where its state is."""

from __future__ import annotations

from collections.abc import Iterator

from fsproxy.config.redis_keys import redis_address
from fsproxy.config.schema import Config, RedisConfig, StateBackend, StateConfig, TopMode
from fsproxy.core.model import FilterName, Mode, OnTrouble
from fsproxy.core.settings import PRIVACY, ClientApiSettings, CoreSettings, FilterSettings

NO_LIMITS_CHOSEN = (
    "client_api.limits is not set, so calls are held to the documents' numbers, which are stricter than what the "
    "vendor takes today (limits: current)"
)


def summary(config: Config) -> str:
    """Return one line without secrets: no token, no key, and of the store's address only the host."""
    parts = [f"mode {config.mode}", f"upstream {config.upstream.url}"]
    active = list(_active(config.core))
    if config.mode is TopMode.BYPASS:
        privacy = [name for name, own in active if name in PRIVACY and own is Mode.ENFORCE]
        parts.append(f"nothing is judged but by the privacy rules: {', '.join(privacy) or 'there are none'}")
    else:
        for mode, word in ((Mode.ENFORCE, "enforced"), (Mode.SHADOW, "shadowed")):
            names = [name for name, own in active if config.core.mode_of(name, own) is mode]
            parts.append(f"{word}: {', '.join(names) or 'nothing'}")
        parts += _limits(config.core.default.client_api)
    parts += _redaction(config.core)
    parts += [_orgs(config.core), _trust(config), _state(config.state)]
    return "; ".join(parts)


def _limits(client_api: ClientApiSettings) -> Iterator[str]:
    if client_api.mode is not Mode.OFF:
        yield f"limits {client_api.limits}" if "limits" in client_api.places else NO_LIMITS_CHOSEN


def _active(core: CoreSettings) -> Iterator[tuple[str, Mode]]:
    """Yield each filter and limit that has rules in the base sections, in order, with its own mode."""
    every_org = (core.default, *core.orgs.values())
    if core.unlisted is OnTrouble.BLOCK or any(not org.enabled or not org.mobile for org in every_org):
        yield FilterName.ORG, core.orgs_mode
    yield from _filters(core.default.filters)
    client_api = core.default.client_api
    yield "client API", client_api.mode
    yield "cardinality", client_api.cardinality.mode.capped(client_api.mode)
    if core.default.plan.file is not None:
        yield f"plan {core.default.plan.file}", core.default.plan.mode.capped(client_api.mode)
    yield "rate", client_api.rate.mode.capped(client_api.mode)


def _filters(filters: FilterSettings) -> Iterator[tuple[str, Mode]]:
    f = filters
    has_rules = {
        FilterName.SCRIPT: bool(f.script.min_compiled is not None or f.script.require or f.script.blocked_versions),
        FilterName.URL: True,
        FilterName.DOMAIN: bool(f.domain.rules) or not f.domain.otherwise_capture,
        FilterName.IP: bool(f.ip.block),
        FilterName.USER_AGENT: bool(f.user_agent.block or f.user_agent.crawlers or f.user_agent.block_missing),
        FilterName.GEO: bool(f.geo.only or f.geo.never),
        FilterName.OPT_OUT: bool(f.opt_out.cookies or f.opt_out.gpc or f.opt_out.dnt),
        FilterName.DELETING_USER: bool(f.deleting_user.block),
        FilterName.BLOCKED_USER: bool(f.blocked_user.block),
        FilterName.RAMPING: f.ramping.share < 1 or bool(f.ramping.schedule),
        FilterName.QUOTA: f.quota.sessions is not None,
    }
    for name, active in has_rules.items():
        if active:
            yield name, getattr(filters, name).mode


def _redaction(core: CoreSettings) -> Iterator[str]:
    """Yield how many rules of redaction are in force and in shadow mode. The top-level mode does not cap them."""
    modes = [each.mode.capped(core.redact.mode) for each in core.redact.rules]
    for mode, word in ((Mode.ENFORCE, "redacts"), (Mode.SHADOW, "counts alone")):
        if count := modes.count(mode):
            yield f"{word} by {count} rule{'s' if count != 1 else ''}"


def _orgs(core: CoreSettings) -> str:
    base = core.default
    parts = ("filters", "client_api", "plan")
    own = sum(any(getattr(org, part) is not getattr(base, part) for part in parts) for org in core.orgs.values())
    unlisted = "allowed" if core.unlisted is OnTrouble.ALLOW else "blocked"
    rules = f", {own} with rules of their own" if own else ""
    return f"orgs: {len(core.orgs)} listed{rules}, all others {unlisted}"


def _trust(config: Config) -> str:
    proxies = config.client_ip.trusted_proxies
    if not proxies:
        return "trusts no proxy for the client's address"
    named = ", ".join(map(str, proxies[:4])) + (f" and {len(proxies) - 4} more" if len(proxies) > 4 else "")
    announced = "PROXY headers and " if config.listen.proxy_protocol else ""
    return f"trusts {announced}{config.client_ip.header} from {named}"


def _state(state: StateConfig) -> str:
    if state.backend is StateBackend.REDIS:
        return f"state in Redis {_redis(state.redis)}"
    if state.persist is None:
        return "state in memory of this instance alone, forgotten at restart"
    return f"state in memory of this instance alone, kept in {state.persist.path}"


def _redis(redis: RedisConfig) -> str:
    if redis.sentinel is not None:
        return f"at the primary {redis.sentinel.master} that Sentinels know"
    nodes = ", ".join(each.host for each in redis.nodes[:4]) or redis_address(redis.url).host or "a unix socket"
    return f"Cluster at {nodes}" if redis.cluster else f"at {nodes}"
