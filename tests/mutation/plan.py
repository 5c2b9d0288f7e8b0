"""Which tests must notice a change of a module: its mirror, and for some a few more."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
CORE = ROOT / "fsproxy" / "core"
TESTS = ROOT / "tests" / "core"

ALSO: dict[str, tuple[str, ...]] = {
    "answer_headers": ("core/test_headers.py",),
    "addresses": ("core/filters/test_ip.py",),
    "audit": ("core/test_audit_words.py",),
    "audit_facts": ("core/test_audit.py", "core/test_audit_words.py", "core/test_replay.py"),
    "audit_line": ("core/test_audit.py", "core/test_audit_words.py", "core/test_replay.py"),
    "client_api/arguments": ("core/client_api/test_bundle.py", "core/client_api/test_judging.py"),
    "client_api/bundle": ("core/client_api/test_inspection.py",),
    "client_api/calls": ("core/client_api/test_details.py", "core/client_api/test_inspection.py"),
    "client_api/compact": ("core/client_api/test_cutting.py", "core/client_api/test_bundle.py"),
    "client_api/details": ("core/client_api/test_judging.py", "core/client_api/test_values.py"),
    "client_api/findings": ("core/client_api/test_judging.py", "core/client_api/test_settling.py"),
    "client_api/halves": ("core/client_api/test_json_text.py",),
    "client_api/in_parts": ("core/client_api/test_inspection.py", "core/client_api/test_deep_values.py"),
    "client_api/inspection": ("core/client_api/test_rate_groups.py", "core/client_api/test_any_input.py"),
    "client_api/json_text": ("core/client_api/test_duplicate_names.py", "core/client_api/test_details.py"),
    "client_api/kinds": ("core/client_api/test_bundle.py", "core/client_api/test_surplus.py"),
    "client_api/known_shapes": ("core/client_api/test_shapes.py",),
    "client_api/judging": ("core/client_api/test_server_api.py", "core/client_api/test_details.py"),
    "client_api/layers": ("core/client_api/test_deep_values.py",),
    "client_api/limiting": ("core/client_api/test_inspection.py", "core/client_api/test_settling.py"),
    "client_api/problems": ("core/client_api/test_server_api.py", "core/client_api/test_settling.py"),
    "client_api/rewriting": ("core/client_api/test_settling.py", "core/client_api/test_server_api.py"),
    "client_api/scanner": ("core/client_api/test_deep_values.py",),
    "client_api/server_api": ("core/client_api/test_refused_names.py",),
    "client_api/settling": ("core/client_api/test_refused_names.py",),
    "client_api/splitting": ("core/client_api/test_bundle.py", "core/client_api/test_any_input.py"),
    "client_api/validating": ("core/client_api/test_settling.py",),
    "client_api/values": ("core/client_api/test_refused_names.py",),
    "client_api/verdicts": ("core/client_api/test_settling.py", "core/client_api/test_refusing.py"),
    "client_api/walk": ("core/client_api/test_judging.py", "core/client_api/test_names.py"),
    "domains": ("core/filters/test_domain.py",),
    "failures": ("core/test_answers.py", "core/test_audit.py"),
    "filters/base": ("core/filters/test_every_filter.py",),
    "header_names": ("core/test_headers.py", "core/test_downward.py"),
    "header_values": ("core/test_headers.py",),
    "limits/operations": ("core/limits/test_cardinality.py", "core/limits/test_rate.py"),
    "one_reading": ("core/test_socket_frames.py", "core/test_socket_uploads.py"),
    "policy_rules": ("core/test_replay.py",),
    "replay_addresses": ("core/test_replay.py",),
    "replay_facts": ("core/test_replay.py",),
    "replay_filters": ("core/test_replay.py",),
    "settings": ("config/test_defaults.py", "core/filters/test_every_filter.py"),
    "spelling": ("core/test_page.py", "core/client_api/test_bundle.py"),
    "zones": ("core/filters/test_geo.py",),
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
