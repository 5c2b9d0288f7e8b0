"""The manifests: what Kubernetes' schemas allow, what kustomize makes of the base, and that all of it fits the configuration."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import kubernetes_validate
import pytest
import yaml

import fsproxy
from fsproxy.config.loader import load
from fsproxy.config.schema import Config, StateBackend
from support.tools import tool

KUBERNETES = Path(fsproxy.__file__).parents[1] / "config" / "deploy" / "kubernetes"
BASE = KUBERNETES / "base"
SECONDS = 60
Object = dict[str, Any]


def _built(folder: Path) -> list[Object]:
    command = [tool("kubectl"), "kustomize", "."]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def _base(kind: str) -> Object:
    (found,) = [
        each
        for path in BASE.glob("*.yaml")
        for each in yaml.safe_load_all(path.read_text())
        if each.get("kind") == kind
    ]
    assert isinstance(found, dict)
    return found


def _pod() -> tuple[Object, Object]:
    """The pod's specification, and its container."""
    pod = _base("Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    return pod, container


def _config() -> Config:
    return load(BASE / "fsproxy.yaml", {each["name"]: "a secret" for each in _pod()[1]["env"]})


@pytest.mark.parametrize("path", sorted(KUBERNETES.rglob("*.yaml")), ids=lambda path: path.name)
def test_the_schemas_of_kubernetes_find_no_fault(path: Path) -> None:
    for each in yaml.safe_load_all(path.read_text()):
        if each.get("kind") not in {None, "Kustomization"}:
            kubernetes_validate.validate(each, kubernetes_validate.latest_version(), strict=True)


def test_the_base_is_built_with_all_its_files_and_a_map_that_keeps_its_name() -> None:
    built = {each["kind"]: each for each in _built(BASE)}
    assert set(built) == {"ConfigMap", "Deployment", "NetworkPolicy", "PodDisruptionBudget", "Service"}
    assert {each["metadata"]["name"] for each in built.values()} == {"fsproxy"}
    assert set(built["ConfigMap"]["data"]) == {"fsproxy.yaml", "blocked-ips.txt"}
    kubernetes_validate.validate(built["ConfigMap"], kubernetes_validate.latest_version(), strict=True)


def test_an_overlay_brings_its_own_names_image_and_rules(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    for each in BASE.iterdir():
        (tmp_path / "base" / each.name).write_text(each.read_text())
    (tmp_path / "over").mkdir()
    (tmp_path / "over" / "fsproxy.yaml").write_text("upstream: {url: http://backend:9000}\n")
    overlay = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        # What kustomize 2.0 (Debian's kubectl) calls so, and later ones still take for resources.
        "bases": ["../base"],
        "namespace": "capture",
        "images": [{"name": "registry.example.com/fsproxy", "newName": "registry.example.org/ours", "newTag": "1.2.3"}],
        "configMapGenerator": [{"name": "fsproxy", "behavior": "replace", "files": ["fsproxy.yaml"]}],
        "generatorOptions": {"disableNameSuffixHash": True},
    }
    (tmp_path / "over" / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    built = {each["kind"]: each for each in _built(tmp_path / "over")}
    assert {each["metadata"]["namespace"] for each in built.values()} == {"capture"}
    assert built["ConfigMap"]["metadata"]["name"] == "fsproxy"
    assert list(built["ConfigMap"]["data"]) == ["fsproxy.yaml"]
    (container,) = built["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "registry.example.org/ours:1.2.3"


def test_pods_count_together_and_write_nothing() -> None:
    pod, container = _pod()
    config = _config()
    assert _base("Deployment")["spec"]["replicas"] > 1
    assert config.state.backend is StateBackend.REDIS
    assert config.workers == 1  # several workers would need a folder for their sockets
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert all(mount["readOnly"] for mount in container["volumeMounts"])


def test_ports_folders_and_times_are_those_of_the_configuration() -> None:
    pod, container = _pod()
    config = _config()
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    assert ports == {"recorders": config.listen.port, "admin": config.admin.port}
    assert {container[probe]["httpGet"]["port"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")} == {
        "admin"
    }
    assert _base("Service")["spec"]["ports"][0]["targetPort"] == "recorders"
    (mount,) = container["volumeMounts"]
    assert container["args"][-1] == f"{mount['mountPath']}/fsproxy.yaml"
    wait = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert wait + config.server.drain < pod["terminationGracePeriodSeconds"]


def test_every_selector_finds_the_pods() -> None:
    labels = _base("Deployment")["spec"]["template"]["metadata"]["labels"]
    selectors = [_base(kind)["spec"]["selector"]["matchLabels"] for kind in ("Deployment", "PodDisruptionBudget")]
    selectors += [_base("Service")["spec"]["selector"], _base("NetworkPolicy")["spec"]["podSelector"]["matchLabels"]]
    assert all(each.items() <= labels.items() for each in selectors)
    # A budget that allows no pod to go would keep nodes from being drained.
    assert _base("PodDisruptionBudget")["spec"] == {"maxUnavailable": 1, "selector": {"matchLabels": selectors[1]}}


def test_the_network_policy_lets_through_what_the_configuration_needs_and_no_more() -> None:
    config, policy = _config(), _base("NetworkPolicy")["spec"]
    came = [port["port"] for rule in policy["ingress"] for port in rule["ports"]]
    assert came == [config.listen.port, config.admin.port]
    # Nobody is let in from everywhere.
    assert all(rule["from"] for rule in policy["ingress"])
    goes = {port["port"] for rule in policy["egress"] for port in rule["ports"]}
    assert goes == {53, urlsplit(config.state.redis.url).port, 443}
    assert urlsplit(config.upstream.url).scheme == "https"
