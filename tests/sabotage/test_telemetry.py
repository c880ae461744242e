"""Promises of telemetry, on a stead that is sampled; each breaks, and is kept again."""

from __future__ import annotations

import pytest

from pgstead.cli.wiring import access_to
from tests.fix_stead import LiveStead
from tests.sabotage.damage import Sabotage
from tests.sabotage.on_telemetry import sampled_anew
from tests.sabotage.register import sabotages
from tests.sabotage.scene import Scene
from tests.sabotage.test_sabotage import brief, related, sabotaged

OURS = [s for s in sabotages() if s.where == "watched_scene"]


@pytest.fixture(scope="module")
def watched_scene(sampled: LiveStead) -> Scene:
    """Give the stead that is sampled, to damage."""
    wired = sampled.wired
    scene = Scene(wired.design, wired.ports, access_to(wired.design, wired.ports))
    scene.wait(lambda: sampled_anew(scene))
    scene.baseline = scene.prove("telemetry").verdicts()
    return scene


def test_a_stead_that_is_watched_keeps_every_promise(watched_scene: Scene) -> None:
    report = watched_scene.prove("telemetry")
    assert int(report.exit_status) == 0, brief(report)


@pytest.mark.parametrize("sabotage", [s for s in OURS if not s.disruptive], ids=lambda s: s.name)
def test_a_sabotage_of_telemetry_breaks_its_promises_and_no_other(
    watched_scene: Scene, sabotage: Sabotage
) -> None:
    sabotaged(watched_scene, sabotage, *related(sabotage, every=1))


@pytest.mark.soak
@pytest.mark.parametrize("sabotage", [s for s in OURS if s.disruptive], ids=lambda s: s.name)
def test_a_hard_coded_health_is_found_out(watched_scene: Scene, sabotage: Sabotage) -> None:
    sabotaged(watched_scene, sabotage, *sorted(sabotage.breaks))
