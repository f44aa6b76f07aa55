"""Take the picture in the README: `python docs/screenshot.py site docs/leaderboard.png`.

Needs the `test` extra, chromium, and, to look the same, the font Inter.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

WIDTH = 1440
MAX_HEIGHT = 1100


def main(site: Path, out: Path) -> None:
    """Photograph a page from its top to the end of its first table."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        view = {"width": WIDTH, "height": MAX_HEIGHT}
        page = browser.new_page(viewport=view, color_scheme="light")
        page.goto(f"{(site / 'index.html').resolve().as_uri()}")
        box = page.locator("article.suite").first.bounding_box()
        height = min(box["y"] + box["height"] + 24 if box else MAX_HEIGHT, MAX_HEIGHT)
        page.screenshot(path=out, clip={"x": 0, "y": 0, "width": WIDTH, "height": height})


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
