"""Take the screenshots of the app in ``docs/pictures``: of the generated sample, with drawn covers.

    python docs/_scripts/make_screenshots.py

Needs the extra ``gnnrec[serve]``, playwright and Chromium.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import gnnrec

PICTURES = Path(__file__).resolve().parents[1] / "pictures"
PORT = 8769
ADDRESS = f"http://127.0.0.1:{PORT}"
FRIENDS = {"Kim": range(30, 40), "Noor": range(60, 70)}


def main() -> None:
    """Train on the sample, serve it, and take the pictures."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        gnnrec.fit(gnnrec.load_dataset("sample"), progress=False).save(run)
        command = [sys.executable, "-m", "gnnrec", "serve", str(run), "--port", str(PORT)]
        with subprocess.Popen([*command, "--db", f"sqlite:///{folder}/people.db"]) as server:
            try:
                _wait()
                _take()
            finally:
                server.terminate()


def _shoot(page: Any, picture: str) -> None:
    """Take a screenshot when all pictures of the window are there."""
    seen = "image => image.getBoundingClientRect().top < innerHeight"
    page.wait_for_function(f"[...document.images].filter({seen}).every(image => image.complete && image.naturalWidth)")
    page.screenshot(path=PICTURES / f"{picture}.png")


def _wait() -> None:
    for _ in range(300):
        try:
            urllib.request.urlopen(f"{ADDRESS}/api/v1/ready")
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise SystemExit("the service does not start")


def _take() -> None:
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 1200, "height": 860})
        page = context.new_page()
        for name, movies in {**FRIENDS, "Robin": range(1, 13)}.items():
            _create(page, name, movies)
        for path, picture in (("/recommend", "app-list"), ("/together?with=1", "app-together")):
            page.goto(f"{ADDRESS}{path}")
            _shoot(page, picture)
        phone = browser.new_context(
            viewport={"width": 390, "height": 760}, color_scheme="dark", storage_state=context.storage_state()
        ).new_page()
        phone.goto(f"{ADDRESS}/recommend")
        _shoot(phone, "app-phone")
        browser.close()


def _create(page: Any, name: str, movies: range) -> None:
    page.goto(f"{ADDRESS}/profiles")
    page.fill("#name", name)
    page.get_by_role("button", name="Create profile").click()
    page.wait_for_url("**/history")
    profile = {"Kim": 1, "Noor": 2, "Robin": 3}[name]
    ratings = [{"movie": movie, "stars": 3 + movie % 3} for movie in movies]
    page.request.put(f"{ADDRESS}/api/v1/profiles/{profile}/ratings", data={"ratings": ratings})


if __name__ == "__main__":
    main()
