"""Countries by ISO 3166-1, and the groups of them that rules may name (rules.md 1, order 8)."""

from __future__ import annotations

from collections.abc import Mapping

_EU = "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK"

_COUNTRIES = """
AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ
CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR
GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT
JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP
MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA
RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT
TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW
"""

EU = frozenset(_EU.split()) | {"AX", "GF", "GP", "MF", "MQ", "RE", "YT"} | {"EU"}
"""The 27 members since 2020; the parts of them that belong to the union and have codes of their own (Åland, French
Guiana, Guadeloupe, Saint-Martin, Martinique, Réunion, Mayotte: TFEU 355); and ``EU``, which proxies send for "somewhere
in it"."""
EEA = EU | {"IS", "LI", "NO"}
GROUPS: Mapping[str, frozenset[str]] = {"EU": EU, "EEA": EEA}

COUNTRIES = frozenset(_COUNTRIES.split())
"""The officially assigned codes of ISO 3166-1 alpha-2, and XK, which databases and proxies use for Kosovo."""

UNKNOWN = frozenset({"", "XX", "T1"})
"""What a proxy sends for an unknown country, or for Tor."""
