"""A sentence for each rule, for operators who have to find out why a session is not captured.

Rules are recognised by their ids (docs/reference/filters.md). One with an explicit id gets the text of its filter's
list.
"""

from __future__ import annotations

from fsproxy.core.model import FilterName
from fsproxy.core.reasons import ReasonCode

_OF_RULE = {
    "org:unlisted": "the page's OrgId is not in orgs.listed, and unlisted is block: is the right script on the site?",
    "org:disabled": "the org is in orgs.listed with enabled: false",
    "org:mobile": "the User-Agent is a mobile app's (orgs.mobile_agents), and the org has mobile: false",
    "script:min_compiled": "the site's capture script was built before min_compiled: install the present one there",
    "script:require": "the page does not tell when its capture script was built, and require is set",
    "url:missing": "the page names no URL",
    "url:not_string": "the page's Url is not a string",
    "url:max_length": "the page's URL is longer than max_length",
    "url:control": "the page's URL has control characters",
    "url:unparseable": "the page's URL cannot be read as one",
    "url:scheme": "the scheme of the page's URL is none of schemes",
    "url:host": "the page's URL has no host",
    "url:port": "the page's URL has a bad port",
    "url:match_origin": "the host of the page's URL is not that of the Origin header, and match_origin is set",
    "domain:otherwise": "no rule matches the host, and otherwise is block",
    "user_agent:missing": "there is no User-Agent, and block_missing is set",
    "user_agent:crawler": "the User-Agent is on the list of known crawlers",
    "geo:only": "the visitor's location is in none of the zones of only, or is not known",
    "opt_out:gpc": "the visitor's browser sends Sec-GPC: 1",
    "opt_out:dnt": "the visitor's browser sends DNT: 1",
    "ip:run-time": "the visitor's address is on the list ip that was changed at run time, and no allow rule excepts it",
    "deleting_user:run-time": "the visitor's uid, or the recorder's id of him, was listed at run time as being deleted",
    "blocked_user:run-time": "the visitor's uid was blocked at run time",
    "state:down": "the store did not answer, and state.on_error is block: no new session until it does",
}
"""By the rule's id, or its first two parts."""
_OF_FILTER = {
    FilterName.ORG: "the org is not captured",
    FilterName.SCRIPT: "this version of the capture script is in blocked_versions",
    FilterName.URL: "the page's URL is not valid",
    FilterName.DOMAIN: "the first rule that matches the host, and the path if it has one, blocks it",
    FilterName.IP: "the visitor's address is blocked, and no allow rule excepts it",
    FilterName.USER_AGENT: "the User-Agent holds what is blocked, and no allow rule excepts it",
    FilterName.GEO: "the visitor's location is in a zone of never",
    FilterName.OPT_OUT: "the visitor has the cookie that opts out",
    FilterName.DELETING_USER: "the visitor's uid, or the recorder's id of him, is on the list of users being deleted",
    FilterName.BLOCKED_USER: "the visitor's uid is blocked; the rule's id holds a digest of it",
    FilterName.RAMPING: "a new visitor outside of the share; those admitted before, or in a session, pass",
    FilterName.QUOTA: "the org's sessions of this cycle are used up: no new ones, those under way go on",
}
_SHARED = "a new visitor outside of the rule's share; those admitted by it before, or in a session, pass"
_FAILED = "the filter failed, which is a fault of ours (see the log), and filters.on_error is block"


def rule_text(name: str, rule: str, code: object = None) -> str:
    """Return the text for a filter's name, a rule's id and a reason code as in an audit line.

    It is "" for an unknown filter.
    """
    if rule == f"{name}:error":
        return _FAILED
    if name == FilterName.DOMAIN.value and code == ReasonCode.TRAFFIC_RAMPING:
        return _SHARED
    known = _OF_RULE.get(":".join(rule.split(":", 2)[:2]))
    if known is not None:
        return known
    return next((text for each, text in _OF_FILTER.items() if each.value == name), "")
