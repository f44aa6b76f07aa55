"""Take the pictures in `docs/screenshots/`: `python docs/screenshot.py site docs/screenshots`.

Needs the `test` extra and chromium; to look the same, the same fonts.
"""

from __future__ import annotations

import base64
import shutil
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import sync_playwright

COLOURS = 48
# Name, width, height, theme, and what stands at the top
PICTURES = (
    ("first-1440-light", 1440, 860, "light", "body"),
    ("first-820-dark", 820, 1180, "dark", "body"),
    ("first-390-light", 390, 860, "light", "body"),
    ("table-1440-dark", 1440, 700, "dark", "#tables"),
    ("compare-820-light", 820, 560, "light", "#compare"),
    ("texts-1440-light", 1440, 760, "light", ".query"),
)


def main(site: Path, out: Path) -> None:
    """Photograph a page in three widths and two themes."""
    out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        for name, width, height, theme, place in PICTURES:
            view = {"width": width, "height": height}
            page = browser.new_page(viewport=view, color_scheme=theme, reduced_motion="reduce")
            asked = "#show=disagreements" if place == ".query" else ""
            page.goto((site / "index.html").resolve().as_uri() + asked)
            for _ in range(2):  # what comes near is loaded, and moves what is below
                page.locator(place).first.evaluate("one => one.scrollIntoView()")
                page.wait_for_timeout(1_500)
            (out / f"{name}.png").write_bytes(small(browser.new_page(), page.screenshot()))
            page.close()


PIXELS = """async data => {
  const image = new Image();
  image.src = `data:image/png;base64,${data}`;
  await image.decode();
  const canvas = Object.assign(document.createElement("canvas"), {width: image.width, height: image.height});
  const drawn = canvas.getContext("2d");
  drawn.drawImage(image, 0, 0);
  const bytes = drawn.getImageData(0, 0, image.width, image.height).data;
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return [image.width, image.height, btoa(text)];
}"""  # noqa: E501


def small(page: Any, png: bytes) -> bytes:
    """Return a picture in at most `COLOURS` colours: a quarter of the bytes."""
    width, height, data = page.evaluate(PIXELS, base64.b64encode(png).decode())
    pixels = np.frombuffer(base64.b64decode(data), np.uint8).reshape(-1, 4)[:, :3].astype(np.int64)
    codes, where, n = np.unique(pixels @ [65536, 256, 1], return_inverse=True, return_counts=True)
    colours = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1)
    order = np.argsort(-n, kind="stable")  # the commonest of each kind of colour, not of all
    _, first = np.unique((colours[order] >> 5) @ [64, 8, 1], return_index=True)
    palette = colours[order[np.union1d(np.sort(first)[:COLOURS], np.arange(8))]]
    nearest = ((colours[:, None] - palette) ** 2).sum(axis=2).argmin(axis=1)
    rows = nearest[where].astype(np.uint8).reshape(height, width)
    parts = {
        b"IHDR": struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0),
        b"PLTE": palette.astype(np.uint8).tobytes(),
        b"IDAT": zlib.compress(np.pad(rows, ((0, 0), (1, 0))).tobytes(), 9),
        b"IEND": b"",
    }
    chunks = (
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in parts.items()
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
