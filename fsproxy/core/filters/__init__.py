"""The filters, in the order in which they are judged (rules.md 1). This table is the contents page."""

from __future__ import annotations

from fsproxy.core.filters.base import Filter
from fsproxy.core.filters.opt_out import OptOutFilter

FILTERS: tuple[type[Filter], ...] = (OptOutFilter,)
