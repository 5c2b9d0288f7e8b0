"""The ``orgs`` section as users write it (config/fsproxy.yaml)."""

from __future__ import annotations

from typing import Annotated

from fsproxy.config.fields import Truth, choice
from fsproxy.config.lists import Texts
from fsproxy.config.models.client_api import ClientApiSection
from fsproxy.config.models.filters import FiltersSection
from fsproxy.config.sections import BY_NAME, Section, section, setting
from fsproxy.core.model import Mode, OnTrouble


class OrgSection(Section):
    """What differs for one org."""

    enabled: Truth = setting(True, "Whether it is captured at all; if not, reason 2.")
    mobile: Truth = setting(True, "Whether mobile apps are captured; if not, reason 2.")
    filters: FiltersSection = section(FiltersSection, "Merged over the base section key by key; lists are replaced.")
    client_api: ClientApiSection = section(ClientApiSection, "Merged over the base section in the same way.")


class OrgsSection(Section):
    """The orgs, and what differs for one of them."""

    unlisted: Annotated[OnTrouble, choice(OnTrouble)] = setting("allow", "Orgs that are not listed: allow | block")
    mode: Annotated[Mode, choice(Mode)] = setting("enforce", "Of reasons 1 and 2: enforce | shadow | off")
    mobile_agents: Texts = setting(
        ["okhttp", "CFNetwork", "Dalvik"], "A User-Agent that contains one of these is a mobile app."
    )
    listed: Annotated[dict[str, OrgSection], BY_NAME] = setting({}, "By org id; {} for one without differences.")
