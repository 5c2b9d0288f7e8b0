"""Which tests must notice a change of a module: its mirror, and for some a few more."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
CORE = ROOT / "fsproxy" / "core"
TESTS = ROOT / "tests" / "core"

ALSO: dict[str, tuple[str, ...]] = {
    "wire/answer_headers": ("core/wire/test_headers.py",),
    "matching/addresses": ("core/filters/test_ip.py",),
    "audit/record": ("core/test_audit_words.py", "core/audit/test_line.py"),
    "audit/facts": ("core/audit/test_record.py", "core/test_audit_words.py", "core/replay/test_again.py"),
    "audit/line": ("core/audit/test_record.py", "core/test_audit_words.py", "core/replay/test_again.py"),
    "client_api/reading/arguments": (
        "core/client_api/reading/test_bundle.py",
        "core/client_api/validation/test_call.py",
    ),
    "client_api/reading/bundle": ("core/client_api/test_inspection.py",),
    "json/cutting": ("core/client_api/reading/test_bundle.py",),
    "client_api/validation/details": (
        "core/client_api/validation/test_call.py",
        "core/client_api/validation/test_values.py",
    ),
    "client_api/validation/findings": ("core/client_api/validation/test_call.py", "core/client_api/test_outcome.py"),
    "client_api/inspected": (
        "core/client_api/test_rate_groups.py",
        "core/client_api/test_identifying.py",
        "core/client_api/test_inspection.py",
    ),
    "client_api/inspection": ("core/client_api/test_rate_groups.py",),
    "json/strict": ("core/client_api/test_duplicate_names.py", "core/client_api/validation/test_details.py"),
    "client_api/reading/kinds": ("core/client_api/reading/test_bundle.py", "core/client_api/test_surplus.py"),
    "client_api/validation/plain": (
        "core/client_api/validation/test_walk.py",
        "core/client_api/validation/test_call.py",
    ),
    "client_api/validation/call": (
        "core/client_api/validation/test_planned.py",
        "core/client_api/reading/test_server_api.py",
        "core/client_api/validation/test_details.py",
    ),
    "client_api/limiting": ("core/client_api/test_inspection.py", "core/client_api/test_outcome.py"),
    "client_api/rewriting": (
        "core/client_api/test_outcome.py",
        "core/client_api/reading/test_server_api.py",
        "core/redact/test_bodies.py",
    ),
    "json/scanner": ("core/client_api/test_deep_values.py",),
    "client_api/reading/server_api": ("core/client_api/test_refused_names.py",),
    "client_api/outcome": ("core/client_api/test_refused_names.py",),
    "client_api/reading/splitting": ("core/client_api/reading/test_bundle.py", "core/client_api/test_any_input.py"),
    "client_api/validation/values": ("core/client_api/test_refused_names.py",),
    "client_api/validation/walk": (
        "core/client_api/validation/test_call.py",
        "core/client_api/validation/test_names.py",
    ),
    "matching/page_rules": ("core/filters/test_domain.py", "core/replay/test_again.py"),
    "trial/tally": ("core/trial/test_hints.py",),
    "replay/domains": ("core/replay/test_again.py",),
    "matching/domains": ("core/filters/test_domain.py",),
    "failures": ("core/wire/test_answers.py", "core/audit/test_record.py"),
    "filters/base": ("core/filters/test_every_filter.py",),
    "wire/header_names": ("core/wire/test_headers.py", "core/wire/sockets/test_downstream_frames.py"),
    "policy": ("core/test_run_time_lists.py",),
    "wire/header_values": ("core/wire/test_headers.py", "core/wire/test_plain_head.py"),
    "wire/headers": ("core/wire/test_header_names.py",),
    "wire/path_readings": ("core/wire/test_routes.py",),
    "wire/sockets/frames": ("core/wire/sockets/test_uploads.py",),
    "wire/sockets/websocket": (
        "core/wire/sockets/test_upstream_frames.py",
        "core/wire/sockets/test_downstream_frames.py",
    ),
    "limits/profiles": ("config/test_profiles.py", "proxy/test_limit_profiles.py"),
    "limits/operations": ("core/limits/test_cardinality.py", "core/limits/test_rate.py"),
    "wire/one_reading": ("core/wire/sockets/test_frames.py", "core/wire/sockets/test_uploads.py"),
    "replay/addresses": ("core/replay/test_again.py",),
    "replay/facts": ("core/replay/test_again.py",),
    "replay/filters": ("core/replay/test_again.py",),
    "plan": ("config/test_plan.py",),
    "settings": ("config/test_defaults.py", "core/filters/test_every_filter.py"),
    "audit/redactions": ("core/audit/test_redactions.py",),
    "client_api/redacting": ("core/redact/test_bodies.py",),
    "client_api/redacted_calls": ("core/redact/test_bodies.py",),
    "redact/documents": ("core/redact/test_bodies.py",),
    "redact/events": ("core/redact/test_bodies.py",),
    "redact/json_strings": ("core/redact/test_documents.py", "core/redact/test_bodies.py"),
    "redact/patterns": ("core/redact/test_named_sets.py",),
    "redact/redaction": ("core/redact/test_bodies.py",),
    "redact/top_level_domains": ("core/redact/test_named_sets.py",),
    "redact/views": ("core/redact/test_bodies.py",),
    "wire/redacted_head": ("core/redact/test_bodies.py",),
    "matching/crawlers": ("core/filters/test_user_agent.py", "trust/test_reference.py"),
    "matching/zones": ("core/filters/test_geo.py",),
}
"""Of modules without a mirror of their own name, the tests of what they are a part of; of some others, more."""


def modules() -> list[str]:
    """Every module of the core, as ``filters/ip``."""
    names = (path.relative_to(CORE).with_suffix("").as_posix() for path in sorted(CORE.rglob("*.py")))
    return [name for name in names if Path(name).name != "__init__" or name == "filters/__init__"]


def source_of(module: str) -> Path:
    """The file of a module."""
    return CORE / f"{module}.py"


def tests_of(module: str) -> list[Path]:
    """The test files that judge a module's mutants."""
    mirror = TESTS / f"{Path(module).parent / f'test_{Path(module).name}.py'}"
    more = [ROOT / "tests" / name for name in ALSO.get(module, ())]
    if module.startswith("filters/") and not more:
        more = [TESTS / "filters" / "test_every_filter.py"]
    return ([mirror] if mirror.exists() else []) + more
