"""Promises of backups, on a stead that makes them; each is seen to break, and to be kept again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from pgstead.cli.wiring import access_to
from pgstead.errors import SteadError
from pgstead.workflows import heartbeat
from tests.fix_stead import short_directory
from tests.live.backup.s3 import object_server, stead_with_copy
from tests.sabotage.damage import Sabotage
from tests.sabotage.register import sabotages
from tests.sabotage.scene import Scene
from tests.sabotage.test_sabotage import brief, related, sabotaged


@pytest.fixture(scope="module")
def backed_up_scene() -> Iterator[Scene]:
    """Give a stead with two base backups, WAL between them, a verification and a drill.

    A copy of them is in S3, and there are logical dumps.
    """
    more = '\n[backup.export]\nschedule = "0 4 * * *"\n'
    with (
        object_server() as server,
        stead_with_copy(server, short_directory(), more=more) as stead,
    ):
        stead.run("up")
        wired = stead.wired
        stead.run("backup", "now")
        with wired.ports.sql.connect() as connection:
            connection.execute("SELECT pg_switch_wal()")
        stead.run("backup", "now", "--verify")
        stead.run("drill")
        stead.run("backup", "export")
        stead.run("backup", "mirror")
        # the agent would mend what is damaged here: where WAL is missing it makes a new backup
        wired.ports.supervisor.stop("agent")
        scene = Scene(wired.design, wired.ports, access_to(wired.design, wired.ports))
        with beating(scene):
            scene.baseline = scene.prove().verdicts()
            yield scene


@contextmanager
def beating(scene: Scene) -> Iterator[None]:
    """Write to the ledger in the agent's place."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(5):
            with suppress(SteadError):
                heartbeat.beat(scene.ports.sql)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_a_stead_that_is_backed_up_keeps_every_promise(backed_up_scene: Scene) -> None:
    report = backed_up_scene.prove()
    assert int(report.exit_status) == 0, brief(report)


@pytest.mark.parametrize(
    "sabotage", [s for s in sabotages() if s.where == "backed_up_scene"], ids=lambda s: s.name
)
def test_a_sabotage_of_backups_breaks_its_promises_and_no_other(
    backed_up_scene: Scene, sabotage: Sabotage
) -> None:
    sabotaged(backed_up_scene, sabotage, *related(sabotage))


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "sabotage", [s for s in sabotages() if s.where == "backed_up_scene"], ids=lambda s: s.name
)
def test_a_sabotage_of_backups_breaks_no_promise_of_any_capability(
    backed_up_scene: Scene, sabotage: Sabotage
) -> None:
    sabotaged(backed_up_scene, sabotage)
