"""The lines that ``fsproxy demo`` prints, and the configuration that it runs with."""

import json
import shlex
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from pytest_aiohttp.plugin import AiohttpClient
from yamlcore import CoreLoader

from fsproxy.demo import curl
from fsproxy.demo.backend import create_backend

DEMO_YAML = Path(curl.__file__).with_name("demo.yaml")
BLOCKED_HOST = "blocked.example.com"


def parts(line: str) -> tuple[str, dict[str, str], str]:
    words = shlex.split(line)
    assert words[0] == "curl"
    url = next(word for word in words if word.startswith("http://127.0.0.1:"))
    headers = dict(words[i + 1].split(": ", 1) for i, word in enumerate(words) if word == "-H")
    return url, headers, words[words.index("--data-raw") + 1]


def config() -> dict[str, Any]:
    return yaml.load(DEMO_YAML.read_text(), CoreLoader)  # noqa: S506 - a safe loader, of YAML 1.2


@pytest.mark.parametrize("index", [0, 1, 2])
async def test_each_line_is_a_request_that_the_backend_takes(aiohttp_client: AiohttpClient, index: int) -> None:
    client = await aiohttp_client(create_backend())
    url, headers, body = parts(curl.curl_lines(client.port)[index])
    assert urlsplit(url).port == client.port
    response = await client.session.post(url, headers=headers, data=body)
    assert response.status == 200
    assert response.headers["Access-Control-Allow-Origin"] == headers["Origin"]


def test_the_second_page_alone_is_of_the_blocked_domain() -> None:
    rules = config()["filters"]["domain"]["rules"]
    assert [rule["block"] for rule in rules] == [BLOCKED_HOST]
    hosts = [urlsplit(json.loads(parts(line)[2])["Url"]).hostname for line in curl.curl_lines(8080)[:2]]
    assert hosts == ["www.example.com", BLOCKED_HOST]


def test_the_bundle_holds_a_good_event_and_one_without_a_name() -> None:
    bundle = json.loads(parts(curl.curl_lines(8080)[2])[2])
    names = [event["Args"][0] for event in bundle["Evts"] if event["Kind"] == 8197]
    assert len(names) == 2
    assert names[0]
    assert names[1] == ""


def test_the_demo_listens_on_loopback_alone_and_keeps_nothing() -> None:
    demo = config()
    assert {demo["listen"]["host"], demo["admin"]["host"]} == {"127.0.0.1"}
    assert demo["upstream"]["url"] == "http://127.0.0.1:${FSPROXY_DEMO_PORT:-9000}"
    assert demo["state"] == {"persist": None}


def test_the_configuration_stands_also_where_configurations_are_looked_for() -> None:
    link = Path(curl.__file__).parents[2] / "config" / "demo.yaml"
    assert link.is_symlink()
    assert not link.readlink().is_absolute()
    assert link.resolve() == DEMO_YAML.resolve()
