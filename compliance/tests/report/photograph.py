"""Photograph a report in headless Chromium, to be looked at by a person.

    .venv/bin/python compliance/tests/report/photograph.py report.html PREFIX

writes PREFIXdesktop-NN.png (1280 wide), PREFIXphone-NN.png (390 wide), PREFIX.pdf and
PREFIXprint-NN.png (A4; needs pdftoppm).
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SLICE = 1500  # pixels of height in a picture


@contextmanager
def browser():
    """Start Chromium with a fresh profile folder; yields a playwright browser context."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        context = play.chromium.launch_persistent_context(
            folder, executable_path=CHROMIUM, headless=True, args=list(FLAGS)
        )
        try:
            yield context
        finally:
            context.close()


def photograph(page_file, prefix):
    """Write the pictures; return their paths."""
    made = []
    with browser() as context:
        page = context.new_page()
        for name, width in (("desktop", 1280), ("phone", 390)):
            page.set_viewport_size({"width": width, "height": SLICE})
            page.goto(Path(page_file).resolve().as_uri())
            height = page.evaluate("document.documentElement.scrollHeight")
            for at, top in enumerate(range(0, height, SLICE)):
                path = f"{prefix}{name}-{at:02d}.png"
                clip = {"x": 0, "y": top, "width": width, "height": min(SLICE, height - top)}
                page.screenshot(path=path, full_page=True, clip=clip)
                made.append(path)
        page.pdf(path=f"{prefix}print.pdf", prefer_css_page_size=True)
    if shutil.which("pdftoppm"):
        subprocess.run(
            ["pdftoppm", "-r", "60", "-png", f"{prefix}print.pdf", f"{prefix}print"], check=True
        )
    return made


if __name__ == "__main__":
    print("\n".join(photograph(sys.argv[1], sys.argv[2])))
