"""What a comparison is made of: what became of a request, and what is known of it for a hint."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from fsproxy.core.audit.privacy import safe, truncated
from fsproxy.core.failures import Failure
from fsproxy.core.trial.tally import CAPTURED, Side
from fsproxy.core.uid_digest import uid_digest

if TYPE_CHECKING:
    from fsproxy.core.audit.privacy import MaskAddress
    from fsproxy.core.model import Address, Location, SessionFacts
    from fsproxy.proxy.flow import Flow


def side(flow: Flow) -> Side:
    """Return what became of a page or an upload."""
    block = flow.decision.block
    if block is not None:
        return Side(int(block.code), block.rule.id)
    if flow.failure is Failure.UNINSPECTABLE:
        return Side(Failure.UNINSPECTABLE.value, "client_api.on_uninspectable")
    return CAPTURED


def seen(flow: Flow, facts: SessionFacts, beside: Flow, mask: MaskAddress) -> dict[str, str]:
    """Return what a hint may be made of. It is only counted, and nowhere kept by request."""
    client, address, peer = flow.client, facts.client_ip, ""
    location: Location | None = facts.location or (beside.facts.location if beside.facts is not None else None)
    path = urlsplit(facts.url).path if isinstance(facts.url, str) and facts.parsed_url is not None else ""
    first = path.partition("/")[2].partition("/")
    if address is not None and not client.trusted and (client.dropped or address.is_private):
        peer = str(address)
    return {
        "peer": peer,
        "address": _shown(address, mask) if address is not None and not peer else "",
        "org": safe(facts.org) if facts.org else "",
        "country": location.country if location is not None else "",
        # What follows may name a visitor.
        "path": safe(f"/{first[0]}/" if first[1] else f"/{first[0]}") if path else "",
        "user": f"{uid_digest(facts.user_id):x}" if facts.user_id else "",
    }


def _shown(address: Address, mask: MaskAddress) -> str:
    """Return the address as audit lines have it; a truncated one as the network that it stands for."""
    shown = mask(address) or ""
    return f"{shown}/{24 if address.version == 4 else 48}" if mask is truncated else shown
