"""This machine: whatever ``check`` looks for, and file descriptors."""

from __future__ import annotations

from collections.abc import AsyncIterator

from fsproxy.cli.doctor.findings import Finding, fault, ok, warning
from fsproxy.cli.host_checks import host_errors, without_own_ports
from fsproxy.config.schema import Config
from fsproxy.fleet.descriptors import raise_soft_limit, that_fits


async def host(config: Config) -> AsyncIterator[Finding]:
    """Look for what would keep ``serve`` from starting here."""
    errors = await without_own_ports(config, await host_errors(config))
    for error in errors:
        yield fault("host", str(error), "Until this is mended, fsproxy does not start on this machine.")
    if not errors:
        yield ok("host", "fsproxy could start here")


async def descriptors(config: Config) -> AsyncIterator[Finding]:
    """Compare the limit of this shell, raised as ``serve`` would raise it, with what the configuration needs."""
    raise_soft_limit()
    fitting, asked = that_fits(config).max_connections, config.server.max_connections
    if fitting < asked:
        yield warning(
            "descriptors",
            f"the limit of open files allows {fitting} client connections, not server.max_connections ({asked})",
            "Raise it where fsproxy is started: ulimit -Hn, LimitNOFILE of systemd, --ulimit nofile of a container.",
        )
    else:
        yield ok("descriptors", f"enough for {asked} client connections (as this shell is limited)")
