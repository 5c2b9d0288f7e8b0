"""All fuzzing targets, by name."""

from __future__ import annotations

from fuzz import bundles, call_values, compressed, configurations, forwarding, pages, proxy_headers, redaction, rules

TARGETS = {
    each.name: each
    for each in (
        pages.PAGES,
        bundles.BUNDLES,
        compressed.GZIP,
        call_values.CALLS,
        call_values.VALUES,
        rules.ADDRESSES,
        rules.DOMAINS,
        forwarding.FORWARDING,
        forwarding.COOKIES,
        proxy_headers.PROXY_HEADERS,
        redaction.REDACTION,
        configurations.CONFIGS,
    )
}
