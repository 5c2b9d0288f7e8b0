"""The deployment files: they parse, name what exists, agree with the program, and pass the tools that are installed.

Without one of the tools (nginx, Caddy, systemd-analyze, promtool) its tests are skipped and say so; in CI they fail.
What no test checks stands in config/deploy/README.md.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

import fsproxy
from fsproxy.admin.workers.merging import MergedMetrics
from fsproxy.config.loader import load
from fsproxy.config.schema import Config
from fsproxy.core.audit.record import Outcome
from fsproxy.core.limits.operations import NameKind
from fsproxy.core.model import FilterName, Route
from fsproxy.core.reasons import ReasonCode, RejectionCode
from fsproxy.core.wire.header_names import FORWARDING, REPLACED
from fsproxy.fleet.service_manager import TICK_SECONDS
from fsproxy.telemetry.metrics import Metrics
from support.proxy import running_proxy
from support.tools import tool

DEPLOY = Path(fsproxy.__file__).parents[1] / "config" / "deploy"
RULES = DEPLOY / "prometheus" / "fsproxy-rules.yaml"
DASHBOARD = DEPLOY / "grafana" / "fsproxy.json"
UNIT = DEPLOY / "systemd" / "fsproxy.service"
NGINX = DEPLOY / "nginx" / "fsproxy.conf"
CADDY = DEPLOY / "caddy" / "Caddyfile"
HAPROXY = DEPLOY / "haproxy" / "haproxy.cfg"
METRIC = re.compile(r"\bfsproxy_[a-z_]+")
TOOL_SECONDS = 30


def _documents(path: Path) -> list[Any]:
    return list(yaml.safe_load_all(path.read_text()))


def _rules() -> list[dict[str, Any]]:
    return [rule for group in _documents(RULES)[0]["groups"] for rule in group["rules"]]


def _dashboard_queries() -> list[str]:
    dashboard = json.loads(DASHBOARD.read_text())
    return [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]


def _dashboard_variables() -> list[str]:
    variables = json.loads(DASHBOARD.read_text())["templating"]["list"]
    return [each["query"]["query"] for each in variables if each["type"] == "query"]


def _run(*command: str, cwd: Path | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=TOOL_SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


# -- form


@pytest.mark.parametrize("path", sorted(DEPLOY.rglob("*.yaml")), ids=lambda path: path.name)
def test_every_yaml_file_parses_and_holds_something(path: Path) -> None:
    documents = _documents(path)
    assert documents
    assert all(isinstance(document, dict) and document for document in documents)


def test_the_dashboard_has_no_panel_twice_or_on_top_of_another() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({panel["title"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


def test_every_alert_has_its_own_name_a_severity_and_a_summary() -> None:
    rules = _rules()
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"]["summary"]


def test_every_file_is_named_in_the_readme() -> None:
    readme = (DEPLOY / "README.md").read_text()
    files = [
        str(path.relative_to(DEPLOY)) for path in DEPLOY.rglob("*") if path.is_file() and path != DEPLOY / "README.md"
    ]
    assert [name for name in files if name not in readme] == []


# -- metrics


async def test_every_metric_that_is_asked_for_is_exported_by_a_running_proxy() -> None:
    asked = {name for rule in _rules() for name in METRIC.findall(rule["expr"])}
    asked |= {name for query in (*_dashboard_queries(), *_dashboard_variables()) for name in METRIC.findall(query)}
    async with running_proxy({"upstream": {"url": "http://127.0.0.1:9"}}) as proxy, aiohttp.ClientSession() as session:
        async with session.get(f"{proxy.admin_url}/metrics") as response:
            text = await response.text()
    # Of several workers, their supervisor exports some more.
    text += MergedMetrics(2).text().decode()
    exported = set()
    for family in text_string_to_metric_families(text):
        # A family with labels has no sample before it counts: its name and its type say what the samples will be.
        suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(family.type, ("",))
        exported |= {family.name + suffix for suffix in suffixes}
    assert len(asked) > 20
    assert asked - exported == set()


def test_every_label_that_is_asked_for_is_one_that_samples_have() -> None:
    metrics = Metrics()
    for route in Route:
        metrics.orgs.others.ended[route, 2, False, Outcome.FORWARDED, True] = 1
    for code in ReasonCode:
        metrics.orgs.others.ended[Route.PAGE, 2, True, code, FilterName.IP] = metrics.shadow[code, FilterName.IP] = 1
    for rejection in RejectionCode:
        metrics.rejections[rejection.value, "event", Route.BUNDLE.value] = 1
    metrics.recordings_ended[("blocked",)] = 1
    known = {
        (sample.name, label, value)
        for family in metrics.collect()
        for sample in family.samples
        for label, value in sample.labels.items()
    }
    known |= {("fsproxy_names", "kind", kind.value) for kind in NameKind}
    asked = set()
    for query in (*(rule["expr"] for rule in _rules()), *_dashboard_queries()):
        for name, matchers in re.findall(r"(fsproxy_[a-z_]+)\{([^}]*)\}", query):
            for label, value in re.findall(r'(\w+)!?="([^"]*)"', matchers):
                asked.add((name, label, value))
    assert ("fsproxy_rejections_total", "code", "CardinalityExceeded") in asked
    assert asked - known == set()


def test_the_alerts_on_limits_go_off_where_the_operators_page_warns() -> None:
    rules = {rule["alert"]: rule["expr"] for rule in _rules()}
    (warned,) = re.findall(r"WARNS = ([\d.]+);", files("fsproxy.admin").joinpath("web/usage.js").read_text("utf-8"))
    for alert, used in (("FsproxyNamesNearLimit", "fsproxy_names"), ("FsproxyQuotaNearLimit", "fsproxy_quota_used")):
        over, _, threshold = rules[alert].rpartition(" > ")
        assert float(threshold) == float(warned)
        assert f"({used} / {used.removesuffix('_used')}_limit)" in over


# -- systemd


def _load(folder: Path, text: str, **environ: str) -> Config:
    (folder / "fsproxy.yaml").write_text(text)
    return load(folder / "fsproxy.yaml", environ)


def _unit() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text().splitlines():
        key, is_setting, value = line.partition("=")
        if is_setting and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def _seconds(text: str) -> int:
    assert text.endswith("s")
    return int(text[:-1])


def test_the_unit_waits_longer_than_the_drain_and_gives_no_privileges(tmp_path: Path) -> None:
    unit = _unit()
    text = (DEPLOY / "systemd" / "fsproxy.yaml").read_text()
    config = _load(tmp_path, text, STATE_DIRECTORY="/var/lib/fsproxy", LOGS_DIRECTORY="/var/log/fsproxy")
    assert _seconds(unit["TimeoutStopSec"][0]) > config.server.drain + 5
    assert int(unit["LimitNOFILE"][0]) > 2 * config.server.max_connections
    assert unit["CapabilityBoundingSet"] == unit["AmbientCapabilities"] == [""]
    assert unit["ProtectSystem"] == ["strict"]
    assert unit["NoNewPrivileges"] == unit["DynamicUser"] == ["yes"]
    assert "-HUP $MAINPID" in unit["ExecReload"][0]


def test_what_the_service_writes_lies_in_the_folders_that_the_unit_gives_it(tmp_path: Path) -> None:
    text = (DEPLOY / "systemd" / "fsproxy.yaml").read_text()
    config = _load(tmp_path, text, STATE_DIRECTORY="/var/lib/fsproxy", LOGS_DIRECTORY="/var/log/fsproxy")
    assert config.state.persist is not None
    assert str(config.state.persist.path) == "/var/lib/fsproxy/fsproxy.sqlite"
    assert config.audit.to == "/var/log/fsproxy/audit.log"
    unit = _unit()
    assert unit["StateDirectory"] == unit["LogsDirectory"] == ["fsproxy"]
    assert f"{config.audit.to} {{" in (DEPLOY / "systemd" / "fsproxy.logrotate").read_text()


def test_systemd_hears_of_the_start_and_watches_the_loop_which_sends_a_sign_often_enough() -> None:
    unit = _unit()
    assert (unit["Type"], unit["NotifyAccess"]) == (["notify"], ["main"])
    assert _seconds(unit["WatchdogSec"][0]) > 10 * TICK_SECONDS
    assert unit["LimitCORE"] == ["0"]


@pytest.mark.parametrize("drop_in", [False, True])
def test_systemd_finds_no_fault_in_the_unit_and_its_drop_in(tmp_path: Path, *, drop_in: bool) -> None:
    analyze = tool("systemd-analyze")
    unit = tmp_path / "fsproxy.service"
    # The program is not installed here; that it is somewhere is all that differs.
    unit.write_text(UNIT.read_text().replace("/opt/fsproxy/bin/fsproxy", str(shutil.which("true"))))
    if drop_in:
        (tmp_path / "fsproxy.service.d").mkdir()
        shutil.copy(UNIT.with_name("take-over.conf"), tmp_path / "fsproxy.service.d")
    done = subprocess.run(
        [analyze, "verify", str(unit)], capture_output=True, text=True, timeout=TOOL_SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    # An unknown setting is only a warning to it.
    assert "fsproxy.service" not in done.stderr


# -- container and Kubernetes


def test_the_container_is_not_root_and_asks_healthz() -> None:
    text = (DEPLOY / "container" / "Containerfile").read_text()
    _, last_stage = text.rsplit("\nFROM ", 1)
    assert re.search(r"^USER 65532:65532$", last_stage, re.MULTILINE)
    assert re.search(r"^HEALTHCHECK .*\n.*http://127\.0\.0\.1:8081/healthz", last_stage, re.MULTILINE)
    assert re.search(r'^ENTRYPOINT \["fsproxy"\]$', last_stage, re.MULTILINE)


def test_all_that_the_container_file_copies_exists() -> None:
    text = (DEPLOY / "container" / "Containerfile").read_text()
    copied = [name for line in re.findall(r"^COPY (?!--)(.*) \S+$", text, re.MULTILINE) for name in line.split()]
    assert "fsproxy" in copied
    assert [name for name in copied if not (DEPLOY.parents[1] / name).exists()] == []
    # Nothing else is sent to a build.
    sent = (DEPLOY / "container" / "Containerfile.dockerignore").read_text().splitlines()
    assert sent[1] == "*"
    assert {line[1:] for line in sent if line.startswith("!")} == set(copied)


def test_the_image_is_made_of_pinned_versions_and_says_what_it_is() -> None:
    text = (DEPLOY / "container" / "Containerfile").read_text()
    named, *stages = re.findall(r"^FROM (.+)$", text, re.MULTILINE)
    assert re.fullmatch(r"\S+:\d+\.\d+\.\d+-slim-\w+(@sha256:[0-9a-f]{64})? AS base", named)
    assert stages == ["base AS build", "base"]
    assert re.search(r"^ARG UV=\d+\.\d+\.\d+$", text, re.MULTILINE)
    assert f"\nARG VERSION={fsproxy.__version__}\n" in text
    labels = re.findall(r"org\.opencontainers\.image\.(\w+)=", text)
    assert set(labels) == {"title", "description", "licenses", "version", "revision", "created"}


def test_every_file_names_the_image_of_this_version() -> None:
    texts = {each.name: each.read_text() for each in DEPLOY.rglob("*.yaml")}
    named = [(name, version) for name, text in texts.items() for version in re.findall(r"fsproxy:(\d+\.[\w.]*)", text)]
    assert {name for name, _ in named} == {"compose.yaml", "deployment.yaml", "sidecar.yaml"}
    assert {version for _, version in named} == {fsproxy.__version__}


def _kubernetes(kind: str) -> dict[str, Any]:
    (found,) = [each for each in _documents(DEPLOY / "kubernetes" / "sidecar.yaml") if each["kind"] == kind]
    assert isinstance(found, dict)
    return found


def _kubernetes_config(folder: Path) -> Config:
    for name, text in _kubernetes("ConfigMap")["data"].items():
        (folder / name).write_text(text)
    return load(folder / "fsproxy.yaml", {})


def _pod() -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    pod = _kubernetes("Deployment")["spec"]["template"]["spec"]
    proxy, backend = pod["containers"]
    return pod, proxy, backend


def test_the_config_map_is_a_configuration_that_the_loader_takes(tmp_path: Path) -> None:
    config = _kubernetes_config(tmp_path)
    assert {Path(name).name for name in config.files} == set(_kubernetes("ConfigMap")["data"])


def test_the_ports_probes_and_folders_of_the_pod_are_those_of_its_configuration(tmp_path: Path) -> None:
    config = _kubernetes_config(tmp_path)
    pod, proxy, _ = _pod()
    assert {port["name"]: port["containerPort"] for port in proxy["ports"]} == {
        "recorders": config.listen.port,
        "admin": config.admin.port,
    }
    assert proxy["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "admin"}
    assert (
        proxy["livenessProbe"]["httpGet"] == proxy["startupProbe"]["httpGet"] == {"path": "/healthz", "port": "admin"}
    )
    # The kubelet asks from outside the pod.
    assert config.admin.host == ("0.0.0.0",)
    mounts = {mount["name"]: mount for mount in proxy["volumeMounts"]}
    assert set(mounts) == {volume["name"] for volume in pod["volumes"]}
    assert not any("subPath" in mount for mount in mounts.values())
    assert proxy["args"][-1] == f"{mounts['config']['mountPath']}/fsproxy.yaml"
    assert config.state.persist is not None
    assert str(Path(config.state.persist.path).parent) == mounts["state"]["mountPath"]
    assert _kubernetes("Service")["spec"]["ports"][0]["targetPort"] == "recorders"


def test_the_pod_has_no_privileges_and_writes_to_its_volumes_alone() -> None:
    pod, proxy, backend = _pod()
    assert pod["securityContext"]["runAsNonRoot"] is True
    for container in (proxy, backend):
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_the_pod_gives_fsproxy_time_to_drain_while_its_backend_still_answers(tmp_path: Path) -> None:
    drain = _kubernetes_config(tmp_path).server.drain
    pod, proxy, backend = _pod()
    waits = [int(each["lifecycle"]["preStop"]["exec"]["command"][1]) for each in (proxy, backend)]
    assert waits[0] + drain < waits[1] < pod["terminationGracePeriodSeconds"]


# -- in front


def test_the_servers_in_front_take_as_large_bodies_as_the_proxy(tmp_path: Path) -> None:
    config = _load(tmp_path, (DEPLOY / "systemd" / "fsproxy.yaml").read_text())
    (nginx,) = re.findall(r"client_max_body_size (\d+)m;", NGINX.read_text())
    (caddy,) = re.findall(r"max_size (\d+)MiB", CADDY.read_text())
    (haproxy,) = re.findall(r"content-length\) gt (\d+) ", HAPROXY.read_text())
    assert int(nginx) * 2**20 == int(caddy) * 2**20 == int(haproxy) == config.server.max_body


@pytest.mark.parametrize("front", [NGINX, CADDY, HAPROXY], ids=lambda path: path.parent.name)
def test_every_header_that_is_believed_of_a_proxy_is_replaced_or_taken_out(front: Path) -> None:
    text = front.read_text().lower()
    prefixes = tuple(re.findall(r"del-header (\S+) -m beg", text))
    # Caddy sets these by itself, as its file says.
    own = {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"} if front is CADDY else set()
    names = {name.decode() for name in FORWARDING | REPLACED} | {"cf-ipcountry"}
    missing = [
        name for name in names - own if not re.search(rf"[ -]{name}\b", text) and not name.startswith(prefixes or "\n")
    ]
    assert missing == []


def test_caddy_finds_no_fault_in_its_file(tmp_path: Path) -> None:
    caddy = tool("caddy")
    _run(caddy, "validate", "--adapter", "caddyfile", "--config", str(CADDY), cwd=tmp_path)


# -- Prometheus


def test_promtool_finds_no_fault_in_the_scrape_configuration_and_rules() -> None:
    promtool = tool("promtool")
    _run(promtool, "check", "config", "prometheus.yaml", cwd=RULES.parent)


@pytest.mark.slow
def test_the_alerts_fire_when_they_should_and_not_otherwise() -> None:
    promtool = tool("promtool")
    _run(promtool, "test", "rules", "fsproxy-rules-test.yaml", cwd=RULES.parent)


def test_every_alert_is_named_in_the_tests_of_the_rules() -> None:
    text = (DEPLOY / "prometheus" / "fsproxy-rules-test.yaml").read_text()
    assert [rule["alert"] for rule in _rules() if f'alertname="{rule["alert"]}"' not in text] == []


def test_promtool_understands_every_query_of_the_dashboard(tmp_path: Path) -> None:
    promtool = tool("promtool")
    fill = {"$__rate_interval": "5m", "$__range": "3h", "$job": ".*", "$instance": ".*"}
    queries = _dashboard_queries()
    for name, value in fill.items():
        queries = [query.replace(name, value) for query in queries]
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries)]
    (tmp_path / "rules.yaml").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    _run(promtool, "check", "rules", "rules.yaml", cwd=tmp_path)


def test_every_configuration_of_ours_names_the_schema_for_editors() -> None:
    files = [each for each in DEPLOY.parent.rglob("*.yaml") if "\nupstream:" in each.read_text()]
    assert len(files) == 5
    assert {each.read_text().partition("\n")[0] for each in files} == {
        "# yaml-language-server: $schema=fsproxy.schema.json"
    }
