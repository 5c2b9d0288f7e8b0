"""The filters, in the order in which they are judged (rules.md 1). This table is the contents page."""

from __future__ import annotations

from fsproxy.core.filters.base import Filter
from fsproxy.core.filters.ip import IpFilter
from fsproxy.core.filters.opt_out import OptOutFilter
from fsproxy.core.filters.quota import QuotaFilter
from fsproxy.core.filters.ramping import RampingFilter

FILTERS: tuple[type[Filter], ...] = (IpFilter, OptOutFilter, RampingFilter, QuotaFilter)
