"""The dashboard in Chromium: each page is drawn and no rule of its policy is broken.

PGSTEAD_SCREENSHOTS=DIR keeps the pictures; somebody has to look at them.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.fix_stead import LiveStead
from tests.live.telemetry.test_dashboard import PAGES

_CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# Without these it looks for Google's hosts at every start.
_QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--hide-scrollbars", "--enable-logging=stderr"),
)
_SIZES = {"desk": "1280,1600", "phone": "500,1200"}  # headless has no narrower window
_PNG = b"\x89PNG\r\n\x1a\n"

pytestmark = pytest.mark.skipif(
    _CHROMIUM is None, reason="no chromium here (Debian's package of that name): pages not drawn"
)


def drawn(stead: LiveStead, page: str, size: str, folder: Path, *, dark: bool) -> str:
    """Draw a page; return what the browser's console says of it."""
    scheme = "dark" if dark else "light"
    name = page.strip("/").partition("?")[0] or "status"
    picture = folder / f"{name}-{size}-{scheme}.png"
    assert _CHROMIUM is not None
    done = subprocess.run(
        [
            *(_CHROMIUM, *_QUIET, f"--user-data-dir={folder / 'profile'}"),
            *(f"--window-size={_SIZES[size]}", f"--screenshot={picture}"),
            f"--blink-settings=preferredColorScheme={0 if dark else 1}",
            f"http://127.0.0.1:{stead.api_port}/dashboard{page}",
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert picture.read_bytes().startswith(_PNG)
    # a page that was not drawn is a white one, which is very small
    assert picture.stat().st_size > 8_000
    return "\n".join(re.findall(r".*CONSOLE.*", done.stderr))


def folder(temporary: Path) -> Path:
    kept = Path(os.environ.get("PGSTEAD_SCREENSHOTS") or temporary)
    kept.mkdir(parents=True, exist_ok=True)
    return kept


def test_the_status_is_drawn_in_a_browser_and_keeps_its_policy(
    sampled: LiveStead, tmp_path: Path
) -> None:
    assert drawn(sampled, "", "phone", folder(tmp_path), dark=True) == ""


@pytest.mark.soak
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", _SIZES)
@pytest.mark.parametrize("page", PAGES)
def test_every_page_is_drawn(
    sampled: LiveStead, tmp_path: Path, page: str, size: str, dark: bool
) -> None:
    assert drawn(sampled, page, size, folder(tmp_path), dark=dark) == ""
