"""A compiled configuration: an immutable snapshot with one policy for each org."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self, TypeVar

from fsproxy.core.filters import FILTERS
from fsproxy.core.filters.base import Filter
from fsproxy.core.filters.deleting_user import DeletingUserFilter
from fsproxy.core.filters.domain import DomainFilter
from fsproxy.core.filters.opt_out import OptOutFilter
from fsproxy.core.filters.quota import QuotaFilter
from fsproxy.core.filters.ramping import RampingFilter
from fsproxy.core.model import FilterName, Mode, OnTrouble
from fsproxy.core.run_time_lists import MOST_ENTRIES
from fsproxy.core.settings import PRIVACY, ClientApiSettings, CoreSettings, GeoSource, OnUninspectable, OrgSettings

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class OrgPolicy:
    """The compiled rules for one org's requests."""

    on_page: tuple[Filter, ...]
    """The filters for pages, in order; without ramping and quota, which need the ledger."""
    on_bundle: tuple[Filter, ...]
    """The filters for bundles, events and sockets (rules.md 1)."""
    on_direct: tuple[Filter, ...]
    """The filters for direct calls: the same, and geo (rules.md 3)."""
    unnaming: tuple[Filter, ...]
    """Audit lines do not identify a visitor whom one of these blocks or would block (rules.md 6)."""
    opt_out: OptOutFilter | None
    deleting_user: DeletingUserFilter | None
    """None: no user is listed, so nothing needs to know which uids a session has."""
    user_lists: tuple[Filter, ...]
    """The filters with lists of users; a page's audit line shows which of them there were."""
    shares: DomainFilter | None
    """None: no domain rule captures only a share of its visitors."""
    ramping: RampingFilter | None
    quota: QuotaFilter | None
    draws: bool
    """Visitors are drawn, by ramping or for a share, so a first visit gets a user id to be drawn by."""
    geo_source: GeoSource | None
    """Where a location comes from; None if no filter needs one."""
    on_error: OnTrouble
    state_on_error: OnTrouble
    cap: Mode
    """The top-level mode."""
    protects: bool
    """A rule that protects visitors is enforced, whatever the top-level mode (rules.md 8)."""
    client_api: ClientApiSettings
    """With the modes that are in force. Orgs without settings of their own share one object."""
    validates_calls: bool
    """Whether the rules for client API calls are enforced or in shadow mode."""
    counts_rates: bool
    """Whether the rates of calls are enforced or in shadow mode."""
    reads_calls: bool
    """Whether bodies are searched for calls, to validate them or for their uids (rules.md 10)."""
    blocks_uninspectable: bool
    """Whether a body that cannot be inspected is refused."""

    @classmethod
    def compile(cls, org: OrgSettings, core: CoreSettings, shared: dict[object, Any]) -> Self:
        """Return one org's policy. What an earlier org has with the same settings is taken from ``shared``."""
        filters = [compiled for kind in FILTERS if (compiled := _compiled(kind, org, core, shared)) is not None]
        on_page = tuple(f for f in filters if f.name not in _BY_LEDGER)
        on_bundles = org.filters.on_bundles | {FilterName.ORG}
        geo = next((f for f in on_page if f.name is FilterName.GEO), None)
        deleting = next((f for f in on_page if isinstance(f, DeletingUserFilter)), None)
        shares = next((f for f in on_page if isinstance(f, DomainFilter) and f.shares), None)
        ramping = next((f for f in filters if isinstance(f, RampingFilter)), None)
        calls = _shared(shared, lambda: org.client_api.capped(core.mode, org.plan), org.client_api, org.plan)
        validates = calls.mode is not Mode.OFF
        return cls(
            on_page=on_page,
            on_bundle=tuple(f for f in on_page if f.name in on_bundles and not f.on_pages_only),
            on_direct=tuple(f for f in on_page if f.name in on_bundles | {FilterName.GEO} and not f.on_pages_only),
            unnaming=tuple(f for f in on_page if f.name in _UNNAMING),
            opt_out=next((f for f in on_page if isinstance(f, OptOutFilter)), None),
            deleting_user=deleting,
            user_lists=tuple(f for f in on_page if f.name in _USER_LISTS),
            shares=shares,
            ramping=ramping,
            quota=next((f for f in filters if isinstance(f, QuotaFilter)), None),
            draws=ramping is not None or shares is not None,
            geo_source=org.filters.geo.source if geo is not None else None,
            on_error=org.filters.on_error,
            state_on_error=core.state_on_error,
            cap=core.mode,
            protects=any(f.name in PRIVACY and f.mode is Mode.ENFORCE for f in on_page),
            client_api=calls,
            validates_calls=validates,
            counts_rates=calls.rate.mode is not Mode.OFF,
            reads_calls=deleting is not None or validates,
            blocks_uninspectable=(
                org.client_api.on_uninspectable is OnUninspectable.BLOCK and core.mode is Mode.ENFORCE
            ),
        )


_UNNAMING = frozenset({FilterName.OPT_OUT, FilterName.DELETING_USER})
_USER_LISTS = frozenset({FilterName.DELETING_USER, FilterName.BLOCKED_USER})
_BY_LEDGER = frozenset({FilterName.RAMPING, FilterName.QUOTA})


def _compiled(kind: type[Filter], org: OrgSettings, core: CoreSettings, shared: dict[object, Any]) -> Filter | None:
    if kind.name is FilterName.ORG:
        return kind.compile(org, core)
    return _shared(shared, lambda: kind.compile(org, core), getattr(org.filters, kind.name))


def _shared(shared: dict[object, Any], compiled: Callable[[], T], *settings: object) -> T:
    """Return what an earlier org with the same settings has, else what is ``compiled`` of them."""
    key = _key(*settings)
    if key not in shared:
        shared[key] = compiled()
    found: T = shared[key]
    return found


def _key(*settings: object) -> tuple[int, ...]:
    # Orgs without an override share the settings object itself. Its identity is cheap to compare; to hash 100,000 rules
    # for each of 10,000 orgs is not.
    return tuple(map(id, settings))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One generation of the configuration. A request uses one snapshot from its beginning to its end."""

    generation: int
    default: OrgPolicy
    orgs: Mapping[str, OrgPolicy]

    @classmethod
    def compile(cls, core: CoreSettings, generation: int, before: Snapshot | None = None) -> Self:
        """Return the snapshot of every org's policy. 100,000 rules may take a second: call it off the event loop.

        ``before``: a snapshot of the same settings, from which only ``core.run_time`` differs.
        """
        return cls._compile(core, generation, {} if before is None else _without_run_time(before, core))

    @classmethod
    def _compile(cls, core: CoreSettings, generation: int, shared: dict[object, Any]) -> Self:
        return cls(
            generation,
            OrgPolicy.compile(core.default, core, shared),
            {name: OrgPolicy.compile(org, core, shared) for name, org in core.orgs.items()},
        )

    def with_privacy_alone(self, core: CoreSettings) -> Snapshot:
        """Return what is left of this snapshot of ``core`` under ``bypass``. With 1,000 orgs it takes 30 ms."""
        shared: dict[object, Any] = {}
        for org, policy in ((core.default, self.default), *((core.orgs[name], self.orgs[name]) for name in self.orgs)):
            shared[_key(org.filters.opt_out)] = policy.opt_out
            shared[_key(org.filters.deleting_user)] = policy.deleting_user
        return Snapshot._compile(replace(core, mode=Mode.OFF), self.generation, shared)

    def policy(self, org: str | None) -> OrgPolicy:
        """Return the org's own policy, or the one for all unlisted orgs."""
        if org is None:
            return self.default
        return self.orgs.get(org, self.default)


def _without_run_time(before: Snapshot, core: CoreSettings) -> dict[object, Any]:
    """Return what no list at run time changes, as ``OrgPolicy.compile`` finds it again."""
    found: dict[object, Any] = {}
    settings = [core.default, *(core.orgs[name] for name in before.orgs)]
    for org, policy in zip(settings, (before.default, *before.orgs.values()), strict=True):
        for each in filter(None, (*policy.on_page, policy.ramping, policy.quota)):
            if each.name is not FilterName.ORG and each.name not in MOST_ENTRIES:
                found[_key(getattr(org.filters, each.name))] = each
        found[_key(org.client_api, org.plan)] = policy.client_api
    return found
