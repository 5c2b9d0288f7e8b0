"""The tables of the reference about what the program tells: audit lines, metrics, and the admin port."""

from __future__ import annotations

import ast
import re
from typing import Any

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from fsproxy.admin.api import ENDPOINTS as API_ENDPOINTS
from fsproxy.admin.guard import OPEN_PATHS
from fsproxy.admin.lists_api import ENDPOINTS as LIST_ENDPOINTS
from fsproxy.admin.server import ENDPOINTS
from fsproxy.admin.trial_api import ENDPOINTS as TRIAL_ENDPOINTS
from fsproxy.core.audit.facts import AuditFacts
from fsproxy.core.audit.line import line_start
from fsproxy.core.audit.record import LineEnd, Outcome
from fsproxy.core.filters.ip import hides, renamed
from fsproxy.core.limits.operations import NameKind
from fsproxy.core.model import FilterName, Hit, Route, Rule
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.settings import CoreSettings
from fsproxy.telemetry.metrics import Metrics
from fsproxy.telemetry.orgs import MOST_MINUTES
from fsproxy.telemetry.ring import MOST_DECISIONS, MOST_FORWARDED
from support.cluster import running_cluster
from support.documents import ROOT, rows, text_of, ticked, whole_names
from support.rig import running_rig
from support.valkey import running_valkey
from support.workers import shared

# -- audit lines


def names_of(kind: Any) -> set[str]:
    return {each.encode_name for each in msgspec.structs.fields(kind)}


def test_the_table_of_an_audit_line_has_every_field() -> None:
    block = Hit(FilterName.IP, ReasonCode.IP_FILTER, Rule("a", ""))
    start = line_start(Route.PAGE, Outcome.BLOCKED, "POST", "/", 1, "shadow opt_out", block, None)
    known = set(re.findall(rb'"([\w.@]+)":', start))
    wanted = {each.decode() for each in known} | names_of(LineEnd) | {"fsproxy.worker"}
    shown = rows(text_of("reference/audit.md"), "# Audit lines and privacy")
    said = [name for row in shown for name in whole_names(ticked(row[0]))]
    assert len(said) == len(set(said))
    assert set(said) == wanted


def test_the_words_of_an_audit_lines_fields_are_all_there_are() -> None:
    said = {
        ticked(row[0])[0]: set(ticked(row[1]))
        for row in rows(text_of("reference/audit.md"), "# Audit lines and privacy")
    }
    assert said["event.action"] == {each.value for each in Route}
    assert said["fsproxy.decision"] == {each.value for each in Outcome}
    assert said["fsproxy.facts"] - {"new", "under_way", "admitted", "replay"} == names_of(AuditFacts)
    assert said["fsproxy.shadow"] - {"fsproxy.shadow"} == {"{rule.id, reason_code, filter}"}
    assert said["event.outcome"] == {"success", "failure", "unknown"}


def test_the_table_of_rules_that_name_an_address_is_what_they_are_called() -> None:
    shown = rows(text_of("reference/audit.md"), "## Rules that name an address")
    texts = ("10.0.0.0/8", "10.0.0.128/25", "10.0.0.7", "2001:db8::7")
    assert [ticked(row[0])[0] for row in shown] == ["truncated", "hashed", "none", "full"]
    for mode, *cells in shown:
        core = CoreSettings(client_ip=ticked(mode)[0], client_ip_key="key")
        for text, cell in zip(texts, cells, strict=True):
            name = renamed(core)(f"ip:block:{text}")
            said = [each for each in ticked(cell) if each.startswith("ip:")]
            assert said in ([], [name]), (mode, text)
            assert hides(name) is (
                (ticked(mode)[0] != "full" and "/8" not in text) or ticked(mode)[0] in {"hashed", "none"}
            )


# -- the admin port


def test_the_table_of_the_admin_port_has_every_endpoint_and_parameter() -> None:
    known = {
        f"{each.method} {each.path}": each for each in (*ENDPOINTS, *API_ENDPOINTS, *TRIAL_ENDPOINTS, *LIST_ENDPOINTS)
    }
    said: dict[str, str] = {}
    for request, answer in rows(text_of("reference/admin.md"), "# Admin port"):
        method = ""
        for each in ticked(request):
            method = each.split()[0] if " " in each else method
            said[f"{method} {each.rpartition(' ')[2]}"] = answer
    assert set(said) == set(known)
    for name, each in known.items():
        if each.query is not None:
            parameters = set(each.query.__struct_fields__)
            assert parameters <= set(ticked(said[name])), name


def test_the_open_endpoints_and_the_numbers_of_the_admin_port_are_right() -> None:
    text = " ".join(text_of("reference/admin.md").split())
    opened = re.search(r"([^.]*) are open to all", text)
    assert opened is not None
    assert set(ticked(opened[1])) == set(OPEN_PATHS)
    assert f"the last {MOST_DECISIONS:,} of pages" in text
    assert f"the last {MOST_FORWARDED} of requests that were merely forwarded" in text
    assert MOST_MINUTES == 24 * 60
    assert "the last 24 hours by minute" in text


# -- metrics


def sample_names(family: Any) -> str:
    """A family as people ask for it."""
    return f"{family.name}_total" if family.type == "counter" else str(family.name)


def test_the_table_of_metrics_has_the_labels_of_each_counter() -> None:
    counters = {f"{each.name}_total": each._labelnames for each in Metrics().collect() if each.type == "counter"}  # type: ignore[attr-defined]
    said = labels_of_the_table()
    assert {name: said[name] for name in counters} == counters


def labels_of_the_table() -> dict[str, tuple[str, ...]]:
    """The labels of each metric."""
    found: dict[str, tuple[str, ...]] = {}
    for names, labels, _ in rows(text_of("reference/metrics.md"), "# Metrics"):
        plain = "" if labels in ("histogram", "histograms") else re.sub(r"\([^)]*\)", "", labels)
        for name in ticked(names):
            found[name] = tuple(re.findall(r"\w+", plain))
    return found


async def test_the_table_of_metrics_has_what_programs_of_each_kind_export() -> None:
    quota = {"orgs": {"listed": {"o-1": {"filters": {"quota": {"sessions": 1}}}}}}
    texts = []
    async with running_rig(quota) as rig:
        texts.append((await rig.admin("/metrics"))[1])
    with running_valkey(maxmemory="100mb") as valkey:
        async with running_rig({**shared("http://127.0.0.1:9", valkey), **quota}) as rig:
            texts.append((await rig.admin("/metrics"))[1])
    with running_cluster() as cluster:
        async with running_rig({"state": {"backend": "redis", "redis": cluster.redis}, **quota}) as rig:
            texts.append((await rig.admin("/metrics"))[1])
    families = [each for text in texts for each in text_string_to_metric_families(text)]
    said = labels_of_the_table()
    assert {sample_names(each) for each in families} == set(said)
    for each in families:
        for sample in each.samples:
            assert set(sample.labels) - {"le"} == set(said[sample_names(each)]), sample
    (kinds,) = [row[1] for row in rows(text_of("reference/metrics.md"), "# Metrics") if "`fsproxy_names`" in row[0]]
    assert set(ticked(kinds)) == {kind.value for kind in NameKind}


# -- fsproxy doctor

CHECK = re.compile(r"(?:host|descriptors|clock|(?:upstream|redis|admin|public)(?:\.[a-z_]+)+)")
OF_A_SERVER = re.compile(r"\.(?:dns|connect|tls(?:\.[a-z]+)?)")


def test_the_table_of_the_doctor_has_every_check() -> None:
    """By the texts of its source: which checks a run makes depends on the deployment."""
    known = set()
    for file in (ROOT / "fsproxy/cli/doctor").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                known |= {node.value} if CHECK.fullmatch(node.value) else set()
                ending = OF_A_SERVER.fullmatch(node.value)
                known |= {f"{side}{ending[0]}" for side in ("upstream", "public")} if ending else set()
    known |= {f"{side}.tls.end" for side in ("upstream", "public")}
    known -= {"upstream.url", "upstream.prefixes", "upstream.rewrite", "upstream.tls.ca"}  # keys of the configuration
    said = [name for row in rows(text_of("doctor.md"), "## What is looked at") for name in whole_names(ticked(row[0]))]
    assert {each for each in said if not each.startswith("public.tls.")} == {
        each for each in known if not each.startswith("public.tls.")
    }
