"""Take the pictures of `nwp serve`'s page: docs/serving/phone.png, desk.png and dark.png.

    python scripts/shoot_page.py

Types into the page in a real Chromium, as somebody who has sent two messages before; their own words are in
a folder that is deleted afterwards. The latency shown is that of the moment: let nothing else run.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "serve"))

from chromium import Page, browser  # type: ignore[import-not-found]

PICTURES = {"phone": (390, 844, False), "desk": (1280, 800, False), "dark": (1280, 800, True)}
BEST = "document.querySelector('.slot .word').textContent"
GREY = "document.getElementById('ghost').textContent"
SENT = ("Have you tried to reboot the router?", "Then I have no idea, sorry.")


def main() -> None:
    """Serve the bundle that ships, type, and write three pictures."""
    with tempfile.TemporaryDirectory() as folder:
        mine = os.environ | {"XDG_DATA_HOME": folder}
        nwp = [sys.executable, "-m", "nwp"]
        subprocess.run([*nwp, "personal", "on"], env=mine, check=True, stdout=subprocess.DEVNULL)
        serving = [*nwp, "serve", "--personal", "--port", "0", "--json"]
        with subprocess.Popen(serving, env=mine, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout
            url = json.loads(server.stdout.readline())["url"]
            try:
                with browser(Path(folder) / "profile") as new:
                    page = new()
                    page.open(url)
                    shoot(page, url)
            finally:
                server.terminate()


def shoot(page: Page, url: str) -> None:
    """One text, typed anew for each picture."""
    for text in SENT:
        sent = json.dumps({"text": text})
        page.value(
            f"fetch('/v1/learn', {{method: 'POST', headers: {{'Content-Type': 'application/json'}}, "
            f"body: {json.dumps(sent)}}}).then(answer => answer.status)"
        )
    for name, (width, height, dark) in PICTURES.items():
        page.size(width, height, dark=dark)
        page.open(url)
        for words in ("Have you tr", "to reb"):
            page.type(words)
            begun = json.dumps(words.split()[-1])
            page.until(f"{BEST}.startsWith({begun}) && {GREY} !== ''")
            if words != "to reb":
                page.press("Tab")
        page.value("Promise.all(document.getAnimations().map(one => one.finished)).then(() => 1)")
        picture = base64.b64decode(page.picture())
        (ROOT / "docs" / "serving" / f"{name}.png").write_bytes(picture)


if __name__ == "__main__":
    main()
