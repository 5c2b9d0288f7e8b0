"""The Compose file: what its schema allows, and that its parts agree with each other and with fsproxy's configuration."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

import fsproxy
from fsproxy.config.loader import load
from fsproxy.config.schema import Config
from support.tools import tool

DEPLOY = Path(fsproxy.__file__).parents[1] / "config" / "deploy"
COMPOSE = DEPLOY / "compose" / "compose.yaml"
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text())["services"]
SECONDS = 60


def _config() -> Config:
    asked = set(re.findall(r"\$\{(\w+)", str(SERVICES["fsproxy"]["environment"])))
    return load(COMPOSE.parent / "fsproxy" / "fsproxy.yaml", dict.fromkeys(asked, "http://127.0.0.1:9"))


def _mounts(service: str) -> dict[str, str]:
    """Where a service sees what, by the path there."""
    return {there: here for here, there, *_ in (each.split(":") for each in SERVICES[service].get("volumes", ()))}


def test_the_schema_of_compose_files_finds_no_fault() -> None:
    check = Path(sys.executable).with_name("check-jsonschema")
    command = [check, "--builtin-schema", "vendor.compose-spec", COMPOSE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_image_has_a_version_and_what_is_mounted_exists() -> None:
    for name, service in SERVICES.items():
        assert re.fullmatch(r"\S+(:v?\d+\.\d+\.\d+\S*|@sha256:[0-9a-f]{64})", service["image"]), name
        for here in _mounts(name).values():
            assert not here.startswith(".") or (COMPOSE.parent / here).exists(), here
    assert SERVICES["fsproxy"]["image"] == f"fsproxy:{fsproxy.__version__}"
    build = SERVICES["fsproxy"]["build"]
    assert (COMPOSE.parent / build["context"] / build["dockerfile"]).is_file()


def test_fsproxy_is_configured_for_its_neighbours() -> None:
    config = _config()
    store = urlsplit(config.state.redis.url)
    assert config.workers > 1
    assert store.hostname in SERVICES
    assert set(SERVICES[str(store.hostname)]["networks"]) <= set(SERVICES["fsproxy"]["networks"])
    assert SERVICES["fsproxy"]["ports"] == [
        f"{config.listen.port}:{config.listen.port}",
        # Its page and its API are for this machine alone.
        f"127.0.0.1:{config.admin.port}:{config.admin.port}",
    ]
    assert config.admin.token is not None
    assert config.server.drain < float(SERVICES["fsproxy"]["stop_grace_period"].removesuffix("s"))
    assert "--maxmemory-policy noeviction" in SERVICES["valkey"]["command"][-1]


def test_no_service_has_privileges_or_starts_as_root() -> None:
    """The images of Prometheus, Grafana and fsproxy name a user; Valkey's drops root only without a shell before it."""
    for name, service in SERVICES.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
    assert SERVICES["valkey"]["user"] == "valkey"


def test_fsproxy_writes_to_memory_alone() -> None:
    service = SERVICES["fsproxy"]
    assert service["read_only"]
    assert all(each.endswith(":ro") for each in service["volumes"])


def test_prometheus_scrapes_fsproxy_and_has_its_rules(tmp_path: Path) -> None:
    scraped = yaml.safe_load((COMPOSE.parent / "prometheus.yaml").read_text())
    (job,) = scraped["scrape_configs"]
    assert job["static_configs"] == [{"targets": [f"fsproxy:{_config().admin.port}"]}]
    for there, here in _mounts("prometheus").items():
        if here.startswith("."):
            shutil.copy(COMPOSE.parent / here, tmp_path / Path(there).name)
    command = [tool("promtool"), "check", "config", "prometheus.yml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_grafana_finds_prometheus_and_the_dashboard() -> None:
    folder = COMPOSE.parent / "grafana"
    (source,) = yaml.safe_load((folder / "datasource.yaml").read_text())["datasources"]
    assert urlsplit(source["url"]).hostname in SERVICES
    assert source["isDefault"]
    (provider,) = yaml.safe_load((folder / "dashboards.yaml").read_text())["providers"]
    here = _mounts("grafana")[provider["options"]["path"]]
    assert [each.name for each in (COMPOSE.parent / here).glob("*.json")] == ["fsproxy.json"]
