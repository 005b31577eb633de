"""Take the picture of a review pack that the README shows: the first screen of the page, twice as fine.

.venv/bin/apportion demo
.venv/bin/python docs/screenshot.py demo/.apportion/reports/2026-08/review.html
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[1]))

from playwright.sync_api import ViewportSize, sync_playwright

from tests.browser.chromium import executable

PICTURE: Final = Path(__file__).parent / "images" / "review.png"
_SCREEN: Final[ViewportSize] = {"width": 960, "height": 1290}


def main() -> None:
    """Open the page named on the command line and write the picture."""
    pack = Path(sys.argv[1]).resolve()
    PICTURE.parent.mkdir(exist_ok=True)
    path = executable()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport=_SCREEN, device_scale_factor=1.5)
        page.goto(pack.as_uri())
        page.screenshot(path=PICTURE)
        browser.close()


if __name__ == "__main__":
    main()
