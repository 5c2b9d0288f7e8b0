"""The terminal sessions of the documents, run as they are shown, in a folder with a running program.

A session is a block of the kind ``console``: commands after ``$``, and below each what it prints. A line ``...`` stands
for any lines. Times, durations and ids differ from run to run; ports and the upstream's address are those of the run.
With FSPROXY_WRITE_DOCS=1 what has changed is written into the page.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from support.documents import DOCS, ROOT, WRITE, text_of
from support.forking import FORKS, FSPROXY, origin
from support.operators_page import opened
from support.ports import free_ports
from support.proxy import SERVE, RunningProxy, ready, start
from support.tools import tool

if TYPE_CHECKING:
    from playwright.async_api import Browser

DEADLINE = 60.0
DEMO = (*FSPROXY, "demo")
ANY_LINES = "..."
_BLOCK = re.compile(r"^(?P<indent> *)```console\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
_ID = re.compile(r"\b[0-9a-f]{12}-\d+\b")
_HOST = re.compile(r"(?<=\"host.name\":\")[^\"]+")
_CHANGING = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z?"  # a time
    r"|\d\d:\d\d:\d\d(?:\.\d+)?"
    r"|(?<=after )\d+\.\d ms"
    r"|(?<=learned on )\d{4}-\d\d-\d\d|(?<=last seen )\d{4}-\d\d-\d\d"
    r"|(?<=\.duration\":)\d+"
    r"|(?<=\"fsproxy.seconds\":)\d+\.\d+|(?<=\"fsproxy.count\":)\d+"
    r"|(?<=\"process.pid\":)\d+"
    r"|(?<=\"service.version\":\")[^\"]+"
    r"|(?<=\"used\": )\d+|(?<=\"generation\": )\d+"
    r"|(?<=\"loaded\": )\d+\.\d+"
    r"|(?<=\"BundleTime\": )\d+"
    r"|(?<=instance\": \")[0-9a-f]{16}|(?<=passage\": \")[0-9a-f]{16}"
    r"|(?<=sqlite\.)\d+(?=\.v)"
    r"|curl/\d+\.\d+\.\d+"
    rf"|{_ID.pattern}"
)


@dataclass(frozen=True, slots=True)
class Step:
    """A command, and what the page shows of its output."""

    number: int
    """Of the page's steps, from 0."""
    command: str
    shown: str

    @property
    def changes(self) -> bool:
        """Whether it is run once: it sends something."""
        return "127.0.0.1:8080" in self.command or "/dev/tcp/" in self.command or "-X POST" in self.command


def steps(page: str, heading: str = "") -> Iterator[Step]:
    """The steps of a page, or of its part below a heading up to the next one of that level."""
    text, part = text_of(page), part_of(page, heading)
    begin = text.index(part)
    number = 0
    for block in _BLOCK.finditer(text):
        plain_block = re.sub(rf"^{block['indent']}", "", block["text"], flags=re.MULTILINE)
        for each in re.split(r"^\$ ", plain_block, flags=re.MULTILINE)[1:]:
            command, _, shown = each.partition("\n")
            if begin <= block.start() < begin + len(part):
                yield Step(number, command, shown)
            number += 1


def part_of(page: str, heading: str) -> str:
    """A page, or its part below a heading."""
    text = text_of(page)
    if not heading:
        return text
    _, found, rest = text.partition(f"\n{heading}\n")
    assert found, f"docs/{page} has no heading {heading!r}"
    level = heading.partition(" ")[0]
    return re.split(rf"^#{{1,{len(level)}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def yaml_of(page: str, heading: str = "", number: int = 0) -> str:
    """A configuration that a page shows."""
    return re.findall(r"^```yaml\n(.*?)^```$", part_of(page, heading), re.MULTILINE | re.DOTALL)[number]


def page_texts(page: str, heading: str = "") -> list[str]:
    """What a document says that the operators' page shows: the lines of its blocks of the kind ``text``."""
    blocks = re.findall(r"^ *```text\n(.*?)^ *```$", part_of(page, heading), re.MULTILINE | re.DOTALL)
    return [line.strip() for block in blocks for line in block.splitlines()]


def plain(text: str) -> str:
    """A text without what changes from run to run."""
    return _CHANGING.sub("~", text).rstrip()


def agrees(shown: str, printed: str) -> bool:
    """Whether an output is what the page shows of it."""
    parts = [re.escape(part.strip("\n")) for part in re.split(r"^\.\.\.$", plain(shown), flags=re.MULTILINE)]
    return re.fullmatch(r"\n?(?:.*\n)*?".join(parts), plain(printed)) is not None


@dataclass
class Walk:
    """A folder with ``fsproxy.yaml``, ``audit.log`` and ``fsproxy.log`` of a program that runs there."""

    page: str
    proxy: RunningProxy
    swaps: dict[str, str]
    """What stands in the page -> what it is in this run."""
    ids: dict[str, str] = field(default_factory=dict)
    """Of requests: in the page -> in this run."""

    def here(self, text: str) -> str:
        """A text of the page, as it is in this run."""
        return swapped(text, {**self.swaps, **self.ids})

    def there(self, text: str) -> str:
        """A text of this run, as the page would show it."""
        back = {here: there for there, here in {**self.swaps, **self.ids}.items()}
        return swapped(_HOST.sub("proxy-1", text), {**back, f"{self.proxy.folder}/": ""})

    async def run(self, command: str) -> str:
        """What a command prints, standard error included."""
        if re.search(r"\bcurl\b", command):
            tool("curl")
        paths = [*([str(origin().folder)] if FORKS else []), str(Path(sys.executable).parent), os.environ["PATH"]]
        process = await asyncio.create_subprocess_exec(
            "bash", "-c", self.here(command), cwd=self.proxy.folder,
            env={**os.environ, "PATH": ":".join(paths), "NO_COLOR": "1", "COLUMNS": "200"},
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        printed, _ = await process.communicate()
        return self.there(printed.decode().replace("\r\n", "\n"))

    async def go(self, heading: str = "") -> None:
        """Run the steps of the page, or of a part of it, one after the other."""
        found = list(steps(self.page, heading))
        assert found, f"no terminal session below {heading!r}"
        for step in found:
            await self.take(step)

    async def look(self, browser: Browser | None, heading: str = "", search: str = "") -> None:
        """See that the operators' page shows what the document says; with ``search``, the story of what is found."""
        if browser is None:
            return
        wanted = page_texts(self.page, heading)
        assert wanted, f"no text of the page below {heading!r}"
        async with opened(browser, self.proxy.admin_url) as page:
            if search:
                await page.locator(".decisions tbody tr").first.wait_for()  # the tab is chosen
                async with page.expect_response(re.compile(r"/api/decisions\?.*\bq=")) as answer:
                    await page.get_by_role("searchbox", name="Search").fill(search)
                (found,) = (await (await answer.value).json())["decisions"]
                row = page.locator(f'.decisions tr[data-v="{found["line"]["http.request.id"]}"]')
                await row.dispatch_event("click")  # it may be drawn anew while it is pointed at
            loop = asyncio.get_running_loop()
            end, missing = loop.time() + DEADLINE, wanted
            while missing and loop.time() < end:
                shown = " ".join(self.there(await page.locator("body").inner_text()).split())
                missing = [each for each in wanted if each not in shown]
                await asyncio.sleep(0.2)
            assert missing == [], shown

    async def take(self, step: Step) -> None:
        """Run one step, until it prints what the page shows: log and audit lines come a moment later."""
        loop = asyncio.get_running_loop()
        end = loop.time() + (0.0 if step.changes else 3.0 if WRITE else DEADLINE)
        silent = " > " in step.command or step.command.startswith("sed -i")
        while not agrees(step.shown, printed := await self.run(step.command)) or not (printed.strip() or silent):
            if loop.time() < end:
                await asyncio.sleep(0.2)
                continue
            assert printed.strip(), f"nothing is printed by {step.command}"
            if not WRITE or f"{ANY_LINES}\n" in step.shown:
                assert plain(printed) == plain(step.shown), step.command
            _write(self.page, step, swapped(printed, dict(zip(*map(_ID.findall, (printed, step.shown)), strict=False))))
            break
        # What is known already is printed as the page shows it, and so says nothing of this run.
        ids = zip(_ID.findall(step.shown), _ID.findall(printed), strict=False)
        self.ids |= {there: here for there, here in ids if there not in self.ids}


def swapped(text: str, swaps: Mapping[str, str]) -> str:
    """A text with all of these replaced at once."""
    keys = sorted(swaps, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, keys)), lambda found: swaps[found[0]], text) if keys else text


def _write(page: str, step: Step, printed: str) -> None:
    text, number = text_of(page), 0
    for block in _BLOCK.finditer(text):
        indent = block["indent"]
        commands = re.findall(r"^ *\$ (?:(?!^ *\$ ).*\n)*", block["text"], re.MULTILINE)
        if number <= step.number < number + len(commands):
            commands[step.number - number] = _indented(f"$ {step.command}\n{printed.rstrip()}\n", indent)
            new = block[0].replace(block["text"], "".join(commands))
            (DOCS / page).write_text(text[: block.start()] + new + text[block.end() :], "utf-8")
            return
        number += len(commands)
    raise AssertionError(f"docs/{page} has no step {step.number}")


def _indented(text: str, indent: str) -> str:
    return "".join(f"{indent}{line}" if line.strip() else line for line in text.splitlines(keepends=True))


@asynccontextmanager
async def walk(page: str, config: str | None, upstream: int = 0, **swaps: str) -> AsyncIterator[Walk]:
    """The program with a configuration that a page shows, its upstream at ``127.0.0.1:9000`` being at this port.

    Without one it is the demo. The repository's ``config`` lies beside it.
    """
    port, admin_port = free_ports(2)
    with tempfile.TemporaryDirectory(prefix="fsproxy-walk-") as name:
        folder = Path(name)
        known = {f"127.0.0.1:{there}": f"127.0.0.1:{here}" for there, here in
                 {8080: port, 8081: admin_port, 9000: upstream}.items()} | swaps  # fmt: skip
        known["/dev/tcp/127.0.0.1/8080"] = f"/dev/tcp/127.0.0.1/{port}"
        for link, file in {"config": ROOT / "config", "audit.log": "stdout", "fsproxy.log": "stderr"}.items():
            (folder / link).symlink_to(file)
        if config is None:
            command, options = DEMO, ("--port", str(port), "--admin-port", str(admin_port))
        else:
            command, options = SERVE, ("--config", "fsproxy.yaml")
            # Lines at the end move no rule that the page names by its line.
            ends = f"admin: {{port: {admin_port}}}\n"
            text, listens = re.subn(
                r"(?m)^listen: \{", f"listen: {{host: 127.0.0.1, port: {port}, ", swapped(config, known)
            )
            ends += "" if listens else f"listen: {{host: 127.0.0.1, port: {port}}}\n"
            (folder / "fsproxy.yaml").write_text(text + ends)
        process = await start(folder, {}, command, options)
        proxy = RunningProxy(process, folder, port, admin_port)
        try:
            await ready(proxy)
            yield Walk(page, proxy, known)
            await proxy.stop()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
