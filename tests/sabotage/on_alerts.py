"""Sabotages of what alerts, on a stead that is sampled each second (test_telemetry.py)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

from pgstead.model.design import Design
from tests.sabotage.damage import sabotage
from tests.sabotage.on_telemetry import sampled_anew
from tests.sabotage.scene import Scene

WHERE = "watched_scene"


@contextmanager
def nobody_alerts(scene: Scene, *statements: str) -> Iterator[None]:
    """Stop the agent, and change what it wrote last."""
    scene.ports.supervisor.stop("agent")
    try:
        assert scene.design.alerts is not None
        with closing(sqlite3.connect(scene.design.alerts.file, isolation_level=None)) as opened:
            for statement in statements:
                opened.execute(statement)
        yield
    finally:
        scene.ports.supervisor.start("agent")
        scene.wait(lambda: sampled_anew(scene))
        scene.wait(lambda: not scene.prove("TEL-010", "TEL-012").exit_status)


@sabotage("TEL-010", where=WHERE, shakes=("TEL-001", "TEL-002"))
def nobody_evaluates_any_more(scene: Scene) -> Iterator[Design | None]:
    """The agent has evaluated nothing for an hour, and nothing said so."""
    with nobody_alerts(scene, "UPDATE alert SET at = at - 3600"):
        yield None


@sabotage("TEL-010", where=WHERE, shakes=("TEL-001", "TEL-002"))
def a_rule_is_switched_off(scene: Scene) -> Iterator[Design | None]:
    """Somebody took a rule out that was a nuisance, and signed for nothing."""
    with nobody_alerts(scene, "DELETE FROM alert WHERE name = 'Deadlocks'"):
        yield None


@sabotage("TEL-011", where=WHERE, disruptive=True, blinds=("TEL-003",), shakes=("TEL-010",))
def the_agent_is_dead(scene: Scene) -> Iterator[Design | None]:
    """What was evaluated last stands there, and nobody looks."""
    with nobody_alerts(scene):
        yield None


@sabotage("TEL-012", where=WHERE, shakes=("TEL-001", "TEL-002", "TEL-010"))
def a_target_is_gone(scene: Scene) -> Iterator[Design | None]:
    """The chat server has another address since last week."""
    gone = "INSERT OR REPLACE INTO target VALUES ('chat', NULL, 0, 'it cannot be reached', 3)"
    with nobody_alerts(scene, gone):
        yield None


SABOTAGES = (
    nobody_evaluates_any_more,
    a_rule_is_switched_off,
    the_agent_is_dead,
    a_target_is_gone,
)
