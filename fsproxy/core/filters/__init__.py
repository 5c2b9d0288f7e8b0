"""The filters, in the order in which they judge (rules.md 1)."""

from __future__ import annotations

from fsproxy.core.filters.base import Filter
from fsproxy.core.filters.blocked_user import BlockedUserFilter
from fsproxy.core.filters.deleting_user import DeletingUserFilter
from fsproxy.core.filters.domain import DomainFilter
from fsproxy.core.filters.geo import GeoFilter
from fsproxy.core.filters.ip import IpFilter
from fsproxy.core.filters.opt_out import OptOutFilter
from fsproxy.core.filters.org import OrgFilter
from fsproxy.core.filters.quota import QuotaFilter
from fsproxy.core.filters.ramping import RampingFilter
from fsproxy.core.filters.script import ScriptFilter
from fsproxy.core.filters.url import UrlFilter
from fsproxy.core.filters.user_agent import UserAgentFilter

FILTERS: tuple[type[Filter], ...] = (
    OrgFilter,
    ScriptFilter,
    UrlFilter,
    DomainFilter,
    IpFilter,
    UserAgentFilter,
    GeoFilter,
    OptOutFilter,
    DeletingUserFilter,
    BlockedUserFilter,
    RampingFilter,
    QuotaFilter,
)
