"""A backup made on this machine is restored into containers, and the other way round."""

from __future__ import annotations

import subprocess

from tests.fix_stead import stead_in
from tests.live.containers.contained import Contained, contained_stead

PARTS = ("backup/repository", "secrets/backup-passphrase", "keys", "persons")
FILL = (
    "CREATE TABLE public.moved AS SELECT n, md5(n::text) AS said FROM generate_series(1, 5000) n",
)
RESTORE = ("restore", "--in-place", "--yes")
SUM = "SELECT count(*) || ' ' || md5(string_agg(said, '' ORDER BY n)) FROM public.moved"


def test_a_backup_of_this_machine_is_restored_into_containers() -> None:
    with stead_in(backup="true", telemetry="true") as embedded:
        embedded.run("up")
        with embedded.superuser("jeex_idea") as connection:
            for statement in FILL:
                connection.execute(statement)
            there = next(iter(connection.execute(SUM.encode()).fetchone().values()))
        embedded.run("backup", "now", "--verify")
        embedded.run("down")
        packed = subprocess.run(
            ["tar", "-C", str(embedded.state.resolve()), "-cf", "-", *PARTS],
            capture_output=True,
            check=True,
        ).stdout
        with contained_stead("test-moved", part=56) as contained:
            contained.stead.run("render", "compose", timeout=1800)
            contained.compose("build")
            unpack = ("run", "--rm", "-T", "--no-deps", "--entrypoint", "tar", "provision")
            contained.compose(*unpack, "-C", "/var/lib/pgstead", "-xf", "-", told=packed)
            said = contained.run("restore", "--in-place", "--yes").stdout
            assert "the ledger ends with row" in said
            contained.wait_until_healthy()
            assert contained.ask("jeex_idea", SUM).strip() == there
            assert "nothing to change" in contained.run("plan").stdout
            assert "0 rows lost" in contained.run("drill").stdout


def test_a_backup_of_containers_is_restored_on_this_machine(contained: Contained) -> None:
    for statement in FILL:
        contained.ask("jeex_idea", statement)
    there = contained.ask("jeex_idea", SUM).strip()
    contained.run("backup", "now", "--verify")
    pack = ("exec", "-T", "agent", "tar", "-C", "/var/lib/pgstead", "-cf", "-")
    packed = contained.compose(*pack, *PARTS)
    contained.ask("jeex_idea", "DROP TABLE public.moved")
    with stead_in(backup="true", telemetry="true") as embedded:
        unpack = ["tar", "-C", str(embedded.state), "-xf", "-"]
        subprocess.run(unpack, input=packed, check=True)
        embedded.run("restore", "--in-place", "--yes")
        with embedded.superuser("jeex_idea") as connection:
            row = connection.execute(SUM.encode()).fetchone()
        assert next(iter(row.values())) == there


def test_a_backup_is_restored_over_what_runs(contained: Contained) -> None:
    contained.ask("postgres", "CREATE TABLE before_it AS SELECT 1 AS n")
    contained.run("restore", "--in-place", "--yes")
    contained.wait_until_healthy()
    assert contained.ask("postgres", "SELECT n FROM before_it").strip() == "1"
    contained.ask("postgres", "DROP TABLE before_it")


def test_a_restore_that_is_refused_stops_nothing(contained: Contained) -> None:
    since = started(contained)
    refused = contained.run(*RESTORE, "--to-time", "2001-01-01T00:00:00Z", status=1)
    assert "reaches back to" in refused.stderr
    assert started(contained) == since


def test_a_restore_that_fails_midway_ends_like_that_and_all_runs_again(
    contained: Contained,
) -> None:
    contained.compose(
        "run", "-T", "--no-deps", "--name", "ended", "--entrypoint", "true", "provision"
    )
    (ended,) = left_behind(contained)  # so would be seen what is not removed
    subprocess.run(["docker", "rm", ended], check=True)
    since = started(contained)
    # the rehearsal asks for a base backup before that moment, and finds it; WAL ends before it
    refused = contained.run(*RESTORE, "--to-time", "2999-01-01T00:00:00Z", status=1)
    assert "error:" in refused.stderr
    contained.wait_until_healthy()
    assert started(contained) > since
    assert left_behind(contained) == []


def left_behind(contained: Contained) -> list[str]:
    """Return the containers that one command alone has run in; `compose ps` shows none."""
    wanted = ("oneoff=True", f"project.working_dir={contained.directory.resolve()}")
    words = [w for label in wanted for w in ("--filter", f"label=com.docker.compose.{label}")]
    listed = subprocess.run(["docker", "ps", "-aq", *words], capture_output=True, check=True)
    return listed.stdout.decode().split()


def started(contained: Contained) -> str:
    """Return since when the server runs."""
    return contained.ask("postgres", "SELECT pg_postmaster_start_time()").strip()
