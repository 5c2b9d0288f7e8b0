"""The ``client_api`` section as users write it (rules.md 2)."""

from __future__ import annotations

from typing import Annotated

from fsproxy.config.fields import Count, CountOrZero, Duration, RuleMode, Size, Truth, choice
from fsproxy.config.lists import CaselessTexts, Rates
from fsproxy.config.sections import Section, section, setting
from fsproxy.core.settings import OnUninspectable

_MODE = "enforce | shadow (judge and audit, reject nothing) | off"


class EventNameSection(Section):
    """Names of custom events."""

    max_length: Count = setting(250, "Characters.")


class PropertyNameSection(Section):
    """Names of custom properties."""

    max_length: Count = setting(512, "Characters, the type suffix and all parents' names included.")
    allow_hyphen: Truth = setting(False, "Whether a hyphen may stand in a name.")


class PropertyValueSection(Section):
    """Values of custom properties."""

    max_size: Size = setting(8192, "Bytes.")


class ReservedSection(Section):
    """Longest values of the reserved user properties, in characters."""

    uid: Count = setting(256, "The user's id.")
    displayName: Count = setting(256, "The user's name.")  # noqa: N815 - as it is called on the wire
    email: Count = setting(128, "The user's address.")
    acctId: Count = setting(256, "Deprecated by the vendor.")  # noqa: N815 - as it is called on the wire
    website: Count = setting(1024, "Deprecated by the vendor.")


class CardinalitySection(Section):
    """How many different names an org may use."""

    mode: RuleMode = setting("enforce", _MODE)
    user_properties: CountOrZero = setting(500, "User properties.")
    event_names: CountOrZero = setting(1_000, "Event names.")
    event_properties: CountOrZero = setting(5_000, "Event properties, each by its event.")
    retention: Duration = setting("30d", "A name that was not seen for so long is forgotten.")


class RateSection(Section):
    """How often a session may call; every window holds."""

    mode: RuleMode = setting("enforce", _MODE)
    event: Rates = setting(["10/s", "30/min"], "Custom events.")
    user: Rates = setting(["5/s", "12/min"], "identify and set_user_vars.")


class ClientApiSection(Section):
    """What client API calls must keep to (rules.md 2)."""

    mode: RuleMode = setting("enforce", _MODE)
    max_payload: Size = setting("512KB", "Largest payload of one call.")
    max_calls: Count = setting(5_000, "Calls of one body that are judged; the rest are rejected unread.")
    event_name: EventNameSection = section(EventNameSection, "Names of custom events.")
    property_name: PropertyNameSection = section(PropertyNameSection, "Names of custom properties.")
    property_value: PropertyValueSection = section(PropertyValueSection, "Values of custom properties.")
    reserved: ReservedSection = section(ReservedSection, "Longest values of reserved user properties, in characters.")
    cardinality: CardinalitySection = section(CardinalitySection, "How many different names an org may use.")
    rate: RateSection = section(RateSection, "How often a session may call.")
    blocked_uids: CaselessTexts = setting(
        [
            "",
            "0",
            "1",
            "-1",
            "true",
            "false",
            "n/a",
            "nan",
            "undefined",
            "null",
            "nil",
            "the_id_that_you_use_in_your_app_for_this_user",
        ],
        "Placeholders that are no uid; compared without case.",
    )
    on_uninspectable: Annotated[OnUninspectable, choice(OnUninspectable)] = setting(
        "forward", "A capture body that cannot be read: forward | block"
    )
