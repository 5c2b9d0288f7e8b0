"""What a comparison is made of: what became of a request, and what is known of it for a hint."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from fsproxy.core.audit.facts import wants_no_name
from fsproxy.core.audit.privacy import kept_bits, safe, truncated
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
    """Return what a hint may be made of. It is only counted, and nowhere kept by request.

    Of visitors who opted out or are being deleted, by either configuration, nothing is counted that is their own.
    """
    client, address, peer = flow.client, facts.client_ip, ""
    location: Location | None = facts.location or (beside.facts.location if beside.facts is not None else None)
    path = urlsplit(facts.url).path if isinstance(facts.url, str) and facts.parsed_url is not None else ""
    first = path.partition("/")[2].partition("/")
    if address is not None and not client.trusted and (client.dropped or address.is_private):
        peer = str(address)
    policies = (flow.policy, beside.policy)
    unnamed = any(each is not None and wants_no_name(each, facts, flow.arrived) for each in policies)
    # Without a user id, visitors behind one address count as one.
    visitor = facts.user_id or str(address or "") or facts.session_id
    own = {
        "address": _shown(address, mask) if address is not None and not peer else "",
        "path": safe(f"/{first[0]}/" if first[1] else f"/{first[0]}") if path else "",
        "user": f"{uid_digest(facts.user_id):x}" if facts.user_id else "",
        "visitor": f"{uid_digest(visitor):x}" if visitor else "",
    }
    return {
        "peer": peer,
        "org": safe(facts.org) if facts.org else "",
        "country": location.country if location is not None else "",
        **(dict.fromkeys(own, "") if unnamed else own),
    }


def _shown(address: Address, mask: MaskAddress) -> str:
    """Return the address as audit lines have it; a truncated one as the network that it stands for."""
    shown = mask(address) or ""
    return f"{shown}/{kept_bits(address)}" if mask is truncated else shown
