"""The lines of the configuration that an explanation speaks of."""

from __future__ import annotations

import asyncio

from fsproxy.admin.answers import ExplainedDecision, SourceLine
from fsproxy.config.source_line import source_line
from fsproxy.core.filters.ip import hides
from fsproxy.core.policy_rules import hit_of
from fsproxy.proxy.generation import Generation


async def sources(
    generation: Generation, answer: ExplainedDecision, org: str | None, loaded: float
) -> list[SourceLine]:
    """Return the line of the rule that blocks, or of each rule that a decision depends on. Reads files in a thread."""
    if answer["rule"] is not None:
        places = [answer["rule"]["where"]]
    else:
        hits = (hit_of(generation.snapshot.policy(org), rule) for rule in answer["rules"])
        # The line in the file would show the part of a visitor's address that the rule's id and the audit line hide.
        places = [hit.rule.where for hit in hits if hit is not None and not hides(hit.rule.id)]
    if not any(places):
        return []
    found = await asyncio.to_thread(lambda: [source_line(place, loaded) for place in dict.fromkeys(places)])
    return [{"number": n, "text": text, "start": start, "end": end} for n, text, start, end in filter(None, found)]
