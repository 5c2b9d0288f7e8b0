"""Makes a configuration of that of the vendor's traffic relay.

What has no counterpart here becomes a comment that says why; so does what is done in another way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

import re2

from fsproxy.config.vendor.export import VendorSettingsError
from fsproxy.config.vendor.relay_file import Found, Path, Relay, read
from fsproxy.config.yaml.text import quoted, shown, value
from fsproxy.core.matching.pattern_set import REGEX
from fsproxy.core.redact import patterns
from fsproxy.core.wire.rewrites import groups_beyond, pattern_problem, target_problem

_REFERENCE = re.compile(r"\$(?:(\$)|\{(\w+)\}|(\w+))|(\\)", re.ASCII)
"""What Go's ``Expand`` replaces: the longest word behind a dollar is a group's name or number."""
_URL = re.compile(r"(https?)://[^/?#]+")
_HOST = re.compile(r"[A-Za-z0-9._~\[\]:-]+")
_COOKIE = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_IN_GENERAL = (
    "the relay judges nothing: enforce once the audit lines show what would be blocked",
    "visitors who opted out (filters.opt_out) are blocked, as mode: shadow leaves rules of privacy in force",
    "/__relay__up__/ is not answered: probes ask /healthz of the admin port",
    "behind a load balancer, list it in client_ip.trusted_proxies: the relay believes everybody",
)


def relay_to_yaml(text: str, name: str, environ: Mapping[str, str]) -> tuple[str, int]:
    """Return the YAML, and how many settings are only comments in it. Raises VendorSettingsError."""
    return _Converter(read(text, name, environ), name).convert()


class _Converter:
    def __init__(self, relay: Relay, name: str) -> None:
        self._relay = relay
        self._name = name
        self._left = [f"{each.where}: {shown(each.text)[1:-1]}" for each in relay.unknown]
        self._differs = list(_IN_GENERAL)

    def convert(self) -> tuple[str, int]:
        relay = self._relay
        if relay.target is None:
            raise VendorSettingsError(self._name, "relay.target is missing: set TRAFFIC_RELAY_TARGET")
        scheme, url = self._target(relay.target)
        if relay.max_body is not None:
            self._leave(relay.max_body, "limits answers, which pass here as they come; server.max_body limits requests")
        upstream = [f"url: {value(url)}", *self._cookies(), *self._origin(scheme), *self._rewrite()]
        redact = list(self._redact())
        body = ["version: 1", "mode: shadow", *self._listen(), "upstream:", *(f"  {line}" for line in upstream)]
        body += ["client_api: {limits: current}"]
        body += ["redact:", "  rules:", *(f"    {line}" for line in redact)] if redact else []
        comments = ["Made of the relay's configuration by: fsproxy import-settings --relay"]
        comments += [f"not carried over: {each}" for each in self._left]
        comments += [f"differs: {each}" for each in self._differs]
        return "\n".join([*(f"# {' '.join(line.splitlines())}" for line in comments), *body]) + "\n", len(self._left)

    def _leave(self, found: Found, why: str) -> None:
        self._left.append(f"{found.where}: {shown(found.text)} ({why})")

    def _target(self, target: Found) -> tuple[str, str]:
        found = _URL.match(target.text)
        url = found[0] if found else ""
        if found is None or target_problem(url) is not None or "\\" in url:
            raise VendorSettingsError(target.where, "relay.target is not http or https and a host")
        if target.text[found.end() :].strip("/"):
            self._differs.append(f"{target.where}: of relay.target only scheme and host count")
        return found[1], url

    def _listen(self) -> list[str]:
        port = self._relay.port
        if port is None:
            return []
        if not (port.text.isascii() and port.text.isdigit() and 0 < int(port.text[:6]) < 65_536):
            self._leave(port, "is not a port")
            return []
        if int(port.text) == 8081:
            return [f"listen: {{port: {int(port.text)}}}", "admin: {port: 8082}"]
        return [f"listen: {{port: {int(port.text)}}}"]

    def _cookies(self) -> list[str]:
        names: dict[str, None] = {}
        for each in self._relay.cookies:
            if _COOKIE.fullmatch(each.text):
                names[each.text] = None
            else:
                self._leave(each, "is not a cookie's name")
        return [f"cookies: [{', '.join(map(quoted, names))}]"]

    def _origin(self, scheme: str) -> list[str]:
        origin = self._relay.origin
        if origin is None:
            return []
        if not _HOST.fullmatch(origin.text):
            self._leave(origin, "is not a host")
            return []
        self._differs.append("an Origin is replaced only where there is one, and answers get the client's own back")
        return [f"origin: {value(f'{scheme}://{origin.text}')}"]

    # -- paths

    def _rewrite(self) -> list[str]:
        rules = [rule for each in self._relay.paths if (rule := self._rule(each)) is not None]
        if len(rules) > 1:
            self._differs.append("the first rule of rewrite that matches counts; the relay applies each in turn")
        lines = [line for path, to in rules for line in (f"  - path: {value(path)}", f"    to: {value(to)}")]
        return ["rewrite:", *lines] if lines else []

    def _rule(self, path: Path) -> tuple[str, str] | None:
        pattern = REGEX + path.pattern.text
        if pattern_problem(pattern) is not None:
            self._leave(path.pattern, "is not an expression of RE2")
            return None
        to = _replacement(path)
        if to is None or target_problem(to) is not None or path.whole != to.startswith(("http://", "https://")):
            self._leave(path.target, "is not a path or a whole URL with a host that is known beforehand")
            return None
        if groups_beyond(pattern, to) is not None:
            self._leave(path.target, "refers to a group that its pattern does not have")
            return None
        if not path.pattern.text.startswith("^"):
            what = "must match at the beginning of a path" if path.whole else "is replaced once, not everywhere"
            self._differs.append(f"{path.pattern.where}: what {shown(path.pattern.text)} matches {what}")
        return pattern, to

    # -- blocked content

    def _redact(self) -> Iterator[str]:
        excluded = False
        each_once = {(block.pattern.text, block.exclude, block.header): block for block in self._relay.blocks}
        # What is masked already would not be found by what excludes.
        for block in sorted(each_once.values(), key=lambda block: not block.exclude):
            pattern = REGEX + block.pattern.text
            if patterns.problem(pattern) is not None or re2.search(block.pattern.text, "") is not None:
                why = "matches where nothing is" if patterns.problem(pattern) is None else "is not an expression of RE2"
                self._leave(block.pattern, why)
                continue
            excluded = excluded or (block.exclude and not block.header)
            for action, places in _ACTIONS[block.exclude, block.header]:
                yield f"- {action}: {value(pattern)}"
                yield f"  in: [{places}]"
        if excluded:
            self._differs.append("what is excluded from properties and urls is masked in recordings: offsets stay true")
        if any(not block.header for block in self._relay.blocks):
            self._differs.append("texts are redacted, in sockets too, but no numbers, names and ids of the protocol")


_ACTIONS = {
    (True, True): [("exclude", "headers")],
    (True, False): [("exclude", "properties, urls"), ("mask", "strings")],
    (False, True): [("mask", "headers")],
    (False, False): [("mask", "properties, urls, strings")],
}
"""By whether the relay's rule excludes, and whether it is for headers: what is done, and where."""


def _replacement(path: Path) -> str | None:
    """Return a replacement in Go's form in ours; None where it has more groups than there are digits.

    What refers to no group is nothing, as in Go.
    """
    names: Mapping[str, int] = re2.compile(path.pattern.text).groupindex
    count = re2.compile(path.pattern.text).groups

    def reference(found: re.Match[str]) -> str:
        if found[1] or found[4]:
            return "$" if found[1] else r"\\"
        name = found[2] or found[3]
        number = int(name) if name.isdigit() else names.get(name, count + 1)
        return f"\\{number}" if number <= count else ""

    made = _REFERENCE.sub(reference, path.target.text)
    return None if any(int(each) > 9 for each in _numbers(made)) else made


def _numbers(text: str) -> Iterable[str]:
    return re.findall(r"\\([0-9]+)", text.replace(r"\\", ""))
