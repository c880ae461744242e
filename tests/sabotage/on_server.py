"""Sabotages of the server."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from pgstead.catalog import gaps
from pgstead.model.design import Design, Notice
from tests.sabotage.damage import sabotage
from tests.sabotage.scene import Scene

# ALTER SYSTEM with another value than the designed one shows in these two as well.
OVERRIDDEN = ("SRV-002", "SRV-004")


@sabotage("SRV-001")
def another_version_was_designed(scene: Scene) -> Iterator[Design | None]:
    """The binaries are newer than the server that still runs."""
    yield replace(scene.design, build=replace(scene.design.build, version="18.999"))


@sabotage("SRV-002", also=("SRV-004",))
def a_setting_is_changed(scene: Scene) -> Iterator[Design | None]:
    """ALTER SYSTEM changes a planner cost."""
    with scene.altered(random_page_cost="3"):
        yield None


@sabotage("SRV-003", also=("SRV-004",))
def a_setting_waits_for_a_restart(scene: Scene) -> Iterator[Design | None]:
    """ALTER SYSTEM changes what only a restart brings into force."""
    with scene.altered(max_connections="777"):
        yield None


@sabotage("SRV-004")
def a_setting_is_pinned(scene: Scene) -> Iterator[Design | None]:
    """ALTER SYSTEM sets what was designed anyway: today no difference, tomorrow one."""
    ((value,),) = scene.rows("SELECT current_setting('random_page_cost')")
    with scene.altered(random_page_cost=value):
        yield None


@sabotage("SRV-005")
def a_page_rots(scene: Scene) -> Iterator[Design | None]:
    """Bytes of an index are overwritten on the disk, and then the page is read."""
    scene.does(
        "CREATE TABLE sabotage AS SELECT n FROM generate_series(1, 20000) AS n",
        "ANALYZE sabotage",  # a table without statistics breaks another promise
        # Built beside shared buffers, so that reading it means reading the disk.
        "CREATE INDEX sabotage_n ON sabotage (n)",
        "CHECKPOINT",
        database="postgres",
    )
    try:
        ((directory, name),) = scene.rows(
            "SELECT current_setting('data_directory'), pg_relation_filepath('sabotage_n')"
        )
        with Path(directory, name).open("r+b") as file:
            file.seek(8192 + 4000)
            file.write(b"sabotage")
        with scene.ports.sql.connect() as connection:
            connection.execute("SET enable_seqscan = off")
            with pytest.raises(psycopg.Error):
                connection.execute("SELECT count(*) FROM sabotage WHERE n BETWEEN 1 AND 20000")
        yield None
    finally:
        # The counter of failures is reset with all the others of this database.
        scene.does("DROP TABLE sabotage", "SELECT pg_stat_reset()", database="postgres")


@sabotage("SRV-006", also=("ROL-006",))
def commits_are_not_waited_for(scene: Scene) -> Iterator[Design | None]:
    """The application's commits are acknowledged before they are on the disk."""
    with scene.role_setting(scene.plan.app, "synchronous_commit", "off"):
        yield None


@sabotage("SRV-007")
def a_file_is_edited(scene: Scene) -> Iterator[Design | None]:
    """Someone leaves a note in pg_hba.conf."""
    with scene.edited(scene.hba_file, lambda text: text + "# a note\n"):
        yield None


@sabotage("SRV-008", also=OVERRIDDEN)
def the_server_listens_elsewhere(scene: Scene) -> Iterator[Design | None]:
    """The server listens on one address more."""
    ((value,),) = scene.rows("SELECT current_setting('listen_addresses')")
    try:
        with scene.altered(listen_addresses=f"{value},127.0.0.3"):
            scene.restart_server()
            yield None
    finally:
        scene.restart_server()


@sabotage("SRV-009")
def processes_are_someone_elses(scene: Scene) -> Iterator[Design | None]:
    """The servers should run as another user than they do."""
    host = scene.design.host
    other = "daemon" if host.server_user == "nobody" else "nobody"
    yield replace(scene.design, host=replace(host, server_user=other))


@sabotage("SRV-010")
def the_data_directory_is_open(scene: Scene) -> Iterator[Design | None]:
    """The group may look into the data directory."""
    with scene.mode(Path(scene.design.layout.data), 0o750):
        yield None


@sabotage("SRV-011", also=OVERRIDDEN)
def autovacuum_is_off(scene: Scene) -> Iterator[Design | None]:
    """Autovacuum is switched off."""
    with scene.altered(autovacuum="off"):
        yield None


@sabotage("SRV-012", also=("ROL-006",))
def a_role_lives_elsewhere(scene: Scene) -> Iterator[Design | None]:
    """The application's sessions run in Berlin's time."""
    with scene.role_setting(scene.plan.app, "TimeZone", "Europe/Berlin"):
        yield None


@sabotage("SRV-013")
def a_minor_release_comes_out(scene: Scene) -> Iterator[Design | None]:
    """A newer minor release is known, and nobody says that this one lacks it."""
    lacking = Notice("server-minor-behind", "fixes are missing", severity="warning")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gaps, "of_server", lambda version: (lacking,))
        yield None


@sabotage("SRV-014", also=OVERRIDDEN)
def memory_is_unbounded(scene: Scene) -> Iterator[Design | None]:
    """Each sort may take as much as a whole machine has."""
    with scene.altered(work_mem="1TB"):
        yield None


@sabotage("SRV-015", also=("SRV-007",))
def the_pools_are_uncapped(scene: Scene) -> Iterator[Design | None]:
    """The pooler may open more connections to a database than the budget gives it."""

    def uncapped(text: str) -> str:
        assert "max_db_connections=" in text
        return text.replace("max_db_connections=", "max_db_connections=9")

    try:
        with scene.edited(scene.ini, uncapped):
            scene.ports.console.run("RELOAD")
            yield None
    finally:
        scene.ports.console.run("RELOAD")


@sabotage("SRV-020", also=("ROL-006",))
def statements_may_last(scene: Scene) -> Iterator[Design | None]:
    """The application's statements have no limit."""
    with scene.role_setting(scene.plan.app, "statement_timeout", "0"):
        yield None


@sabotage("SRV-021", also=("ROL-006",))
def locks_may_be_waited_for(scene: Scene) -> Iterator[Design | None]:
    """The application waits for locks for ever."""
    with scene.role_setting(scene.plan.app, "lock_timeout", "0"):
        yield None


@sabotage("SRV-022", also=("ROL-006",))
def transactions_may_be_forgotten(scene: Scene) -> Iterator[Design | None]:
    """The application's open transactions are left alone."""
    with scene.role_setting(scene.plan.app, "idle_in_transaction_session_timeout", "0"):
        yield None


@sabotage("SRV-023", also=("ROL-006",))
def sessions_may_idle(scene: Scene) -> Iterator[Design | None]:
    """The admin's idle sessions stay for ever."""
    with scene.role_setting(scene.plan.admin, "idle_session_timeout", "0"):
        yield None


@sabotage("SRV-030", also=OVERRIDDEN)
def slow_statements_are_not_logged(scene: Scene) -> Iterator[Design | None]:
    """Slow statements leave no trace."""
    with scene.altered(log_min_duration_statement="-1"):
        yield None


@sabotage("SRV-030", also=(*OVERRIDDEN, "ROL-022"))
def log_lines_have_no_head(scene: Scene) -> Iterator[Design | None]:
    """Log lines do not say who and when."""
    with scene.altered(log_line_prefix=""):
        yield None


@sabotage("SRV-031", also=OVERRIDDEN)
def plans_are_not_logged(scene: Scene) -> Iterator[Design | None]:
    """auto_explain is silent."""
    with scene.altered(auto_explain__log_min_duration="-1"):
        yield None


@sabotage("SRV-032", also=OVERRIDDEN)
def waits_are_not_logged(scene: Scene) -> Iterator[Design | None]:
    """Lock waits leave no trace."""
    with scene.altered(log_lock_waits="off"):
        yield None


@sabotage("SRV-033", also=OVERRIDDEN)
def temporary_files_are_not_logged(scene: Scene) -> Iterator[Design | None]:
    """Temporary files leave no trace."""
    with scene.altered(log_temp_files="-1"):
        yield None


@sabotage("SRV-034", also=OVERRIDDEN)
def statements_are_not_counted(scene: Scene) -> Iterator[Design | None]:
    """pg_stat_statements tracks nothing."""
    with scene.altered(pg_stat_statements__track="none"):
        yield None


@sabotage("SRV-040", also=("SRV-007",), blinds=("*",), disruptive=True)
def the_server_cannot_start_again(scene: Scene) -> Iterator[Design | None]:
    """A line of nonsense in its configuration keeps a killed server from coming back."""
    yield from _cannot_start(scene)


@sabotage("SRV-041", also=("SRV-007",), blinds=("*",), disruptive=True)
def a_busy_server_cannot_start_again(scene: Scene) -> Iterator[Design | None]:
    """The same, where the server is killed while a backend computes."""
    yield from _cannot_start(scene)


def _cannot_start(scene: Scene) -> Iterator[Design | None]:
    conf = scene.state / "server" / "pgstead.conf"
    try:
        with scene.edited(conf, lambda text: text + "nonsense = 'sabotage'\n"):
            yield None
    finally:
        scene.wait_for_doors(120)


@sabotage("SRV-016", alone=True)
def a_library_is_not_the_pinned_one(scene: Scene) -> Iterator[Design | None]:
    """Somebody put a library of theirs in the place of one that the server loads."""
    build = scene.design.build
    if build.origin != "toolchain":
        pytest.skip("these binaries are no toolchain's")
    tree = Path(build.bindir).parent
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, tree.name)  # others use the tree itself
        for part in ("bin", "lib"):
            shutil.copytree(tree / part, copy / part, symlinks=True)
        library = next(copy.glob("lib/**/auth_delay.so"))
        library.write_bytes(library.read_bytes() + b" ")
        yield replace(scene.design, build=replace(build, bindir=str(copy / "bin")))


SABOTAGES = (
    a_library_is_not_the_pinned_one,
    another_version_was_designed,
    a_setting_is_changed,
    a_setting_waits_for_a_restart,
    a_setting_is_pinned,
    a_page_rots,
    commits_are_not_waited_for,
    a_file_is_edited,
    the_server_listens_elsewhere,
    processes_are_someone_elses,
    the_data_directory_is_open,
    autovacuum_is_off,
    a_role_lives_elsewhere,
    a_minor_release_comes_out,
    memory_is_unbounded,
    the_pools_are_uncapped,
    statements_may_last,
    locks_may_be_waited_for,
    transactions_may_be_forgotten,
    sessions_may_idle,
    slow_statements_are_not_logged,
    log_lines_have_no_head,
    plans_are_not_logged,
    waits_are_not_logged,
    temporary_files_are_not_logged,
    statements_are_not_counted,
    the_server_cannot_start_again,
    a_busy_server_cannot_start_again,
)
