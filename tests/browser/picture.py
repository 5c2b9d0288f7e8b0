"""``python tests/browser/picture.py``: take the README's picture, docs/operators-page.png, after an hour of made-up traffic.

The hour passes on a clock of the program's own, in some seconds.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support import launch  # noqa: E402 - the path is set above
from support.operators_page import CONFIG, DESKTOP, chromium, opened  # noqa: E402
from support.rig import Rig, running_rig  # noqa: E402

PICTURE = ROOT / "docs/operators-page.png"
MINUTES = 59
BLOCKED = (
    ({"Url": "https://staging.example.com/checkout"}, {}, 5),
    ({}, {"X-Forwarded-For": "203.0.113.9"}, 4),
    ({}, {"User-Agent": "Mozilla/5.0 (compatible; YandexBot/3.0)"}, 2),
    ({"OrgId": "o-GEO-na1"}, {"CF-IPCountry": "AQ"}, 2),
    ({"OrgId": "o-OFF-na1"}, {}, 1),
    ({"CompiledTimestamp": 1_661_778_047}, {}, 1),
    ({"OrgId": "o-RAMP-na1", "UserId": "1c7e42d0"}, {}, 2),
)
"""Fields and headers of a page that is blocked, and how often it comes."""


async def minute(rig: Rig, number: int, chance: random.Random) -> None:
    """The pages of a minute."""
    busy = 14 + number // 6 + chance.randrange(8) + (18 if 20 <= number < 27 else 0)
    for each in range(busy):
        await rig.page(OrgId="o-TEST-na1", UserId=f"u-{number}-{each}", SessionId=f"s-{number}-{each}")
    for fields, headers, often in BLOCKED:
        for _ in range(chance.randrange(often + 1) + (4 if 20 <= number < 27 and often == 4 else 0)):
            await rig.page(headers, **fields)


async def main() -> None:
    chance = random.Random(7)
    with tempfile.TemporaryDirectory() as name:
        clock = Path(name) / "clock"
        clock.write_text(str(-60.0 * MINUTES))
        world = {"WORLD_CLOCK": str(clock)}
        async with running_rig(CONFIG, world, command=(sys.executable, launch.__file__, "serve")) as rig:
            for number in range(MINUTES + 1):
                await minute(rig, number, chance)
                clock.write_text(str(-60.0 * (MINUTES - number)))
            await rig.page(Url="https://staging.example.com/checkout", SessionId="3f8f2c51-9d52-4a0e-b3c1-5f6e1c0a7d11")
            async with chromium() as browser, opened(browser, rig.proxy.admin_url, viewport=DESKTOP) as page:
                await page.locator(".decisions tbody tr").first.wait_for()
                await asyncio.sleep(3)
                await page.screenshot(path=PICTURE)


if __name__ == "__main__":
    asyncio.run(main())
