"""The dashboard with faults happening: what it shows, and what axe-core finds wrong with it.

A page allows no script at all, so each is fetched, axe-core is put into the copy, and the copy is
opened in Chromium; the rules of WCAG 2.1 A and AA and axe's best practices are all on, contrast
and landmarks among them.
"""

from __future__ import annotations

import html
import json
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from importlib import resources
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.fix_stead import LiveStead
from tests.live.telemetry.test_dashboard import HEAVIEST, PAGES, Seen, get
from tests.live.telemetry.test_dashboard_in_browser import _CHROMIUM, _QUIET
from tests.waiting import until

_SECRET = "in-a-literal-of-somebody"
_RUN = """
window.addEventListener('load', () => axe.run(document, {resultTypes: ['violations']}).then(
  found => {
    const told = found.violations.map(v => ({
      id: v.id, impact: v.impact, help: v.help, nodes: v.nodes.map(n => n.html.slice(0, 200))
    }));
    const paint = performance.getEntriesByName('first-contentful-paint')[0];
    const place = document.createElement('pre');
    place.id = 'axe-found';
    place.textContent = JSON.stringify({
      violations: told, passes: found.passes.length, paint: paint ? paint.startTime : null
    });
    document.body.appendChild(place);
  }));
"""


@pytest.fixture(scope="module")
def faulty(sampled: LiveStead) -> Iterator[LiveStead]:
    """Have somebody hold a row, and two who wait for it one after the other."""
    with sampled.superuser("jeex_idea") as admin:
        admin.execute("CREATE TABLE public.shown (id int PRIMARY KEY, note text)")
        admin.execute("INSERT INTO public.shown VALUES (1, 'x')")
        admin.execute("GRANT ALL ON public.shown TO jeex_user")
    update = f"UPDATE shown SET note = '{_SECRET}' WHERE id = 1"

    def wait() -> None:
        with suppress(psycopg.Error), sampled.connect(direct=True) as blocked:
            blocked.execute("SET statement_timeout = 0")
            blocked.execute("SET lock_timeout = 0")
            blocked.execute(update)

    waiting = [threading.Thread(target=wait, daemon=True) for _ in range(2)]
    with ExitStack() as stack:
        held = stack.enter_context(sampled.connect(direct=True, autocommit=False))
        held.execute("SET idle_in_transaction_session_timeout = 0")
        held.commit()
        held.execute(update)
        for thread in waiting:
            thread.start()
        try:
            yield sampled
        finally:
            held.rollback()
            for thread in waiting:
                thread.join(20)
            with sampled.superuser("jeex_idea") as admin:
                admin.execute("DROP TABLE public.shown")


def _blocked(stead: LiveStead) -> str | None:
    page = get(stead, "/locks?hours=1").text
    return page if "blocks 2 sessions" in page else None


def _fires(alert: str, page: str) -> bool:
    """Say whether the status shows that an alert fires, whatever else does."""
    row = page.partition(f">{alert}<")[2].partition("</tr>")[0]
    return "state firing" in row


def test_a_walk_through_the_pages_while_faults_happen(faulty: LiveStead) -> None:
    locks = until(lambda: _blocked(faulty), "the tree of who waits for whom")
    tree = locks.partition('class="tree"')[2].partition("</section>")[0]
    assert tree.count('<ul class="tree">') == 2  # one waits for the other, who waits for the first
    assert "idle in transaction" in tree
    assert "waits" in tree
    assert _SECRET not in locks
    until(lambda: _fires("IdleInTransaction", get(faulty, "").text), "its alert fires")
    statements = until(
        lambda: page if "<code>" in (page := get(faulty, "/statements?hours=1").text) else None,
        "statements that took the most time",
    )
    assert _SECRET not in statements
    for page in PAGES:
        answer = get(faulty, page)
        assert answer.status_code == 200
        assert len(answer.content) <= HEAVIEST
        seen = Seen(answer.text)
        assert (seen.open, seen.wrong) == ([], [])


@pytest.mark.skipif(_CHROMIUM is None, reason="no chromium here: axe-core needs a browser")
@pytest.mark.parametrize(
    ("page", "dark"),
    [
        ("/locks?hours=1", True),
        *(
            pytest.param(page, dark, marks=pytest.mark.soak)
            for page in PAGES
            for dark in (False, True)
        ),
    ],
)
def test_axe_finds_nothing_wrong_with_a_page(
    faulty: LiveStead, tmp_path: Path, page: str, dark: bool
) -> None:
    until(lambda: _blocked(faulty), "the tree of who waits for whom")
    found = audited(get(faulty, page).text, tmp_path, dark=dark)
    print(f"{page or 'status'}: {found['passes']} rules passed, painted at {found['paint']} ms")
    assert found["violations"] == []
    assert found["passes"] > 10


def test_axe_would_find_what_is_wrong(tmp_path: Path) -> None:
    if _CHROMIUM is None:
        pytest.skip("no chromium here: axe-core needs a browser")
    broken = "<!DOCTYPE html><html><body><p style='color:#999'>pale</p><img></body></html>"
    found = {v["id"] for v in audited(broken, tmp_path, dark=False)["violations"]}
    assert found >= {"color-contrast", "image-alt", "html-has-lang", "document-title"}


def audited(page: str, folder: Path, *, dark: bool) -> dict[str, Any]:
    """Return what axe-core says of a page as Chromium shows it."""
    axe = resources.files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    copy = folder / "page.html"
    copy.write_text(
        page.replace("</body>", f"<script>{axe}</script><script>{_RUN}</script></body>")
    )
    assert _CHROMIUM is not None
    done = subprocess.run(
        [
            *(_CHROMIUM, *_QUIET, f"--user-data-dir={folder / 'profile'}"),
            *("--window-size=1280,1600", "--virtual-time-budget=20000", "--dump-dom"),
            f"--blink-settings=preferredColorScheme={0 if dark else 1}",
            copy.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    told = re.search(r'<pre id="axe-found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert told, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(html.unescape(told[1]))
    return found
