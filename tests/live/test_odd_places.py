"""Places and names that break careless programs: spaces, quotes, percent signs, closed doors."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fix_stead import LiveStead, short_directory, stead_in

pytestmark = [pytest.mark.live, pytest.mark.slow]

ODD = "a b'c%d\"e"


def rename(stead: LiveStead) -> None:
    """Give roles, and a second database, names with a space, both quotes and a percent sign."""
    text = stead.manifest.read_text()
    for key in ("owner", "app", "admin", "readonly", "migrator"):
        name = json.dumps(f"{ODD} {key}")
        text = re.sub(
            rf'^{key} = ".*"$', lambda _, k=key, n=name: f"{k} = {n}", text, flags=re.MULTILINE
        )
    stead.manifest.write_text(f"{text}\n[[databases]]\nname = {json.dumps(ODD)}\n")


@pytest.fixture(scope="module")
def odd() -> Iterator[LiveStead]:
    """Give a stead whose place and names are odd all over."""
    home = short_directory()
    place = home / ODD
    place.mkdir(mode=0o755)
    try:
        with stead_in(place) as made:
            rename(made)
            made.run("up")
            yield made
    finally:
        shutil.rmtree(home, ignore_errors=True)


def test_a_stead_with_odd_names_everywhere_is_up_and_stays_so(odd: LiveStead) -> None:
    assert odd.json("plan")["operations"] == []
    for database, user in (("jeex_idea", f"{ODD} app"), (ODD, f"{ODD}_app")):
        told = odd.run("psql", database, "--", "-XAtc", "SELECT current_user, current_database()")
        assert told.stdout.strip() == f"{user}|{database}"


def test_the_url_of_an_odd_database_leads_there(odd: LiveStead) -> None:
    import psycopg

    for door in ([], ["--direct"]):
        url = odd.run("url", ODD, "--reveal", *door).stdout.strip()
        with psycopg.connect(url, prepare_threshold=None) as connection:
            assert connection.execute("SELECT current_database()").fetchone() == (ODD,)


def test_a_password_with_odd_characters_works_at_both_doors(odd: LiveStead) -> None:
    secret = odd.state / "secrets"
    path = secret / f"{ODD} readonly"
    path.write_text("p%25 'x\" \\ :@/?#ü" + "y" * 24)
    odd.run("up")
    for door in ([], ["--direct"]):
        told = odd.run("psql", "jeex_idea", "--role", "readonly", *door, "--", "-XAtc", "SELECT 7")
        assert told.stdout.strip() == "7"


def test_every_promise_holds_for_odd_names(odd: LiveStead) -> None:
    report = odd.json("prove", status=None)
    broken = {p["code"]: p for p in report["promises"] if p["verdict"] == "broken"}
    assert broken == {}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs servers as somebody else")
def test_as_root_a_closed_checkout_keeps_its_state_elsewhere_and_says_so() -> None:
    home = short_directory()
    home.chmod(0o700)
    try:
        place = home / "project"
        place.mkdir()
        with stead_in(place, link=False) as made:
            told = made.run("up", "--fix", timeout=600)
            pointer = Path((made.state / "location").read_text().strip())
            assert pointer.is_relative_to("/var/lib/pgstead")
            assert str(pointer) in told.stdout + told.stderr
            assert made.run("psql", "jeex_idea", "--", "-XAtc", "SELECT 1").stdout.strip() == "1"
            assert "nothing to change" in made.run("up").stdout
            made.run("destroy", "--yes")
            assert not pointer.exists()
    finally:
        shutil.rmtree(home, ignore_errors=True)
