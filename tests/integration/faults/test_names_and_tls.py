"""The upstream's name is not found, or leads elsewhere; its certificate is wrong, or there is no TLS at all."""

from __future__ import annotations

import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from integration.faults.scene import Scene, scene
from support import launch
from support.faulty_link import Fault, FaultyLink
from support.tools import tool

LAUNCH = (sys.executable, launch.__file__, "serve")
NAME = "capture.test"


def say(names: Path, text: str) -> None:
    """What the resolver knows, from now on."""
    new = names.with_suffix(".new")
    new.write_text(text)
    new.replace(names)


async def failed(it: Scene, kind: str) -> None:
    """Waits until exchanges have failed in this way."""
    sample = f'fsproxy_upstream_failures_total{{kind="{kind}"}}'
    before = await it.metric(sample)
    await it.more_retried(5)
    assert await it.metric(sample) > before


async def test_a_name_that_is_not_found_for_a_while_ends_no_recording(tmp_path: Path) -> None:
    names = tmp_path / "names"
    say(names, f"{NAME} 127.0.0.1\n")
    world = {"WORLD_NAMES": str(names)}
    async with scene("dns", upstream_url=lambda link: f"http://{NAME}:{link.port}", env=world, command=LAUNCH) as it:
        async with it.recording(refused=frozenset({502})):
            say(names, "")
            await it.link.set(Fault.NONE)  # which breaks what is open: a name is asked for on connecting
            await failed(it, "upstream_dns")
            say(names, f"{NAME} 127.0.0.1\n")
            await it.more_delivered(20)


async def test_a_name_that_leads_elsewhere_is_followed_once_the_old_place_is_gone(tmp_path: Path) -> None:
    names = tmp_path / "names"
    say(names, f"{NAME} 127.0.0.1\n")
    world = {"WORLD_NAMES": str(names)}
    async with scene("moved", upstream_url=lambda link: f"http://{NAME}:{link.port}", env=world, command=LAUNCH) as it:
        async with FaultyLink(it.upstream.port, it.link.port, host="127.0.0.2") as elsewhere, it.recording():
            await it.link.set(Fault.REFUSE)
            await it.more_retried(5)
            say(names, f"{NAME} 127.0.0.2\n")
            await it.more_delivered(20)
            assert elsewhere.connections


def certificate(folder: Path, name: str) -> ssl.SSLContext:
    """A server's side with a certificate of its own, ``name``.pem in the folder."""
    subprocess.run(
        [tool("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", f"{name}.key", "-out", f"{name}.pem"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    return context


@pytest.mark.parametrize("broken", ["another certificate", "no TLS"])
async def test_tls_that_breaks_for_a_while_ends_no_recording(tmp_path: Path, broken: str) -> None:
    right, wrong = certificate(tmp_path, "right"), certificate(tmp_path, "wrong")
    more: dict[str, Any] = {"upstream": {"tls": {"ca": str(tmp_path / "right.pem")}}}
    async with scene("tls", more, upstream_url=lambda link: f"https://127.0.0.1:{link.port}", tls=right) as it:
        async with it.recording(refused=frozenset({502})):
            for _ in range(2):
                it.link.tls = None if broken == "no TLS" else wrong
                await it.link.set(Fault.NONE)
                await failed(it, "upstream_tls")
                it.link.tls = right
                await it.link.set(Fault.NONE)
                await it.more_delivered(10)
