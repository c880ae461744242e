"""Draw the dashboard's pages for the docs and for looking at: a stead with faults, in Chromium.

    .venv/bin/python tools/screenshots.py [DIRECTORY]

A stead of its own is brought up, somebody works, somebody holds a lock and others wait, somebody
sleeps in a transaction until its alert fires. Each page is drawn light and dark, on a desk and on
a phone, and its weight and the time until it is drawn are told. Nothing is left but the pictures.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.request import urlopen

import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.fix_stead import CHECKOUT, SAMPLED, LiveStead, stead_in

PAGES = ("", "hours?hours=1", "statements?hours=1", "locks?hours=1", "backups", "proofs")
IN_THE_DOCS = ("status-desk-light", "locks-desk-dark", "hours-phone-dark")  # docs/pictures
SIZES = {"desk": (1280, 1600), "phone": (500, 1400)}  # headless has no narrower window
# Without these it looks for Google's hosts at every start.
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--hide-scrollbars",),
)


def chromium() -> str:
    """Return the browser, or say that there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        sys.exit("no chromium here: Debian's package of that name")
    return found


def draw(url: str, picture: Path, size: tuple[int, int], *, dark: bool) -> float:
    """Draw a page into a file; return the seconds that it took with a new browser."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="pgst-chromium-") as profile:
        subprocess.run(
            [
                *(chromium(), *QUIET, f"--user-data-dir={profile}"),
                *(f"--window-size={size[0]},{size[1]}", f"--screenshot={picture}"),
                f"--blink-settings=preferredColorScheme={0 if dark else 1}",
                url,
            ],
            capture_output=True,
            timeout=120,
            check=True,
        )
    return time.monotonic() - began


_WAITING = "UPDATE shown SET note = 'y' WHERE id = 1"


def _as_admin(stead: LiveStead, *statements: str) -> None:
    with stead.superuser("jeex_idea") as admin:
        for statement in statements:
            admin.execute(statement)


def _wait(stead: LiveStead) -> None:
    with suppress(psycopg.Error), stead.connect(direct=True) as blocked:
        blocked.execute("SET statement_timeout = 0")
        blocked.execute("SET lock_timeout = 0")
        blocked.execute(_WAITING)


def _work(stead: LiveStead, ended: threading.Event) -> None:
    with suppress(psycopg.Error), stead.connect("jeex_admin", direct=True) as busy:
        while not ended.wait(0.05):
            busy.execute("SELECT count(*) FROM pg_class AS a, pg_class AS b")


@contextmanager
def faults(stead: LiveStead) -> Iterator[None]:
    """Have a lock chain, a transaction that sleeps, and some work."""
    _as_admin(
        stead,
        "CREATE TABLE public.shown (id int PRIMARY KEY, note text)",
        "INSERT INTO public.shown VALUES (1, 'x')",
        "GRANT ALL ON public.shown TO jeex_user",
    )
    ended = threading.Event()
    threads = [threading.Thread(target=_wait, args=(stead,), daemon=True) for _ in range(2)]
    threads.append(threading.Thread(target=_work, args=(stead, ended), daemon=True))
    with stead.connect(direct=True, autocommit=False) as held:
        held.execute("SET idle_in_transaction_session_timeout = 0")
        held.commit()
        held.execute(_WAITING)
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            ended.set()
            held.rollback()
            for thread in threads:
                thread.join(20)
            _as_admin(stead, "DROP TABLE public.shown")


def weigh(url: str) -> tuple[int, float]:
    """Return the bytes of a page, and the seconds until they were there."""
    began = time.monotonic()
    with urlopen(url, timeout=30) as answer:
        return len(answer.read()), time.monotonic() - began


def main() -> int:
    """Draw all of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "directory", nargs="?", type=Path, default=CHECKOUT / ".ci-out" / "pictures"
    )
    parser.add_argument("--wait", type=float, default=25.0, help="seconds of samples before")
    parser.add_argument("--docs", action="store_true", help="put those of the docs there")
    given = parser.parse_args()
    folder = given.directory.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with stead_in(telemetry=SAMPLED) as stead:
        stead.run("up")
        stead.wait_for_service()
        empty = [
            draw("about:blank", folder / "empty.png", SIZES["desk"], dark=False) for _ in "123"
        ]
        floor = statistics.median(empty)
        (folder / "empty.png").unlink()
        with faults(stead):
            time.sleep(given.wait)
            for page in PAGES:
                url = f"http://127.0.0.1:{stead.api_port}/dashboard/{page}".rstrip("/")
                size, seconds = weigh(url)
                name = page.partition("?")[0] or "status"
                took: list[float] = []
                for form, window in SIZES.items():
                    for dark in (False, True):
                        scheme = "dark" if dark else "light"
                        picture = folder / f"{name}-{form}-{scheme}.png"
                        took.append(draw(url, picture, window, dark=dark))
                # headless tells no first paint: drawn whole, less what an empty page takes
                drawn = statistics.median(took) - floor
                print(
                    f"{name}: {size} bytes, answered in {seconds * 1000:.0f} ms, drawn in"
                    f" {drawn * 1000:.0f} ms beyond the {floor * 1000:.0f} ms of an empty page"
                )
    if given.docs:
        for name in IN_THE_DOCS:
            shutil.copyfile(folder / f"{name}.png", CHECKOUT / "docs" / "pictures" / f"{name}.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
