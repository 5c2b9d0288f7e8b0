"""Rules of redaction for tests, and bodies redacted by them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from fsproxy.core.client_api.outcome import decide_calls
from fsproxy.core.client_api.reading.server_api import ServerCall
from fsproxy.core.client_api.redacted_calls import inspect_redacted
from fsproxy.core.client_api.rewriting import rewrite
from fsproxy.core.model import Mode, Route
from fsproxy.core.redact.redaction import Redaction
from fsproxy.core.settings import (
    ClientApiSettings,
    CoreSettings,
    OnUnredactable,
    RedactIn,
    RedactRule,
    RedactSettings,
)

KEY = "a key of the tests"


def redaction(*rules: Mapping[str, Any], on_error: str = "drop", mode: str = "enforce") -> Redaction:
    """The compiled form of rules as a configuration writes them."""
    settings = RedactSettings(
        mode=Mode(mode), on_error=OnUnredactable(on_error), rules=tuple(_rule(**each) for each in rules)
    )
    found = Redaction.compile(CoreSettings(redact=settings, client_ip_key=KEY))
    assert found is not None
    return found


def _rule(**keys: Any) -> RedactRule:
    places = frozenset(map(RedactIn, keys.pop("in", ("properties", "urls"))))
    return RedactRule(places_in=places, mode=Mode(keys.pop("mode", "enforce")), **keys)


def body_of(
    rules: Redaction,
    route: Route,
    body: bytes,
    endpoint: ServerCall | None = None,
    *,
    cuts: bool = False,
    settings: ClientApiSettings | None = None,
) -> tuple[bytes, dict[str, int]]:
    """The body as it goes on, and what was found. ``cuts``: what is not valid is cut as well."""
    settings = settings or ClientApiSettings()
    inspection = inspect_redacted(settings, route, body, endpoint, rules)
    outcome = decide_calls(inspection, {}, (), settings) if cuts else None
    enforced, shadow = rules.counts(inspection.redacted.found)
    left = rewrite(inspection, outcome)
    return body if left is None else left, dict(Counter(enforced) + Counter(shadow))


def _as_long(old: str, new: str) -> bool:
    """Whether two texts have as many UTF-16 units."""
    return len(old.encode("utf-16-le", "surrogatepass")) == len(new.encode("utf-16-le", "surrogatepass"))


def same(old: Any, new: Any, alike: Callable[[str, str], bool] = _as_long) -> bool:
    """Whether two values have the same structure, names and numbers, and texts that are alike."""
    if isinstance(old, dict):
        return list(old) == list(new) and all(same(old[name], new[name], alike) for name in old)
    if isinstance(old, list):
        return len(old) == len(new) and all(same(*each, alike) for each in zip(old, new, strict=True))
    return alike(old, new) if isinstance(old, str) and isinstance(new, str) else bool(old == new)


ANN = "ann@example.com"
MASKED = "*" * len(ANN)
EVERYWHERE = redaction(
    {"mask": "email", "in": ["properties", "urls", "strings"]}, {"hash": "regex:.+", "in": ["uid"]}
)  # fmt: skip
HASHED = EVERYWHERE.hashed(ANN)
"""What stays of her in a uid."""
