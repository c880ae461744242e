"""Sabotages of what an upgrade or a restart must leave behind."""

from __future__ import annotations

from collections.abc import Iterator

from pgstead.model.design import Design
from tests.sabotage.damage import sabotage
from tests.sabotage.scene import Scene


@sabotage("SRV-050", alone=True)
def an_upgrade_was_killed(scene: Scene) -> Iterator[Design | None]:
    """Somebody killed an upgrade, and went home."""
    folder = scene.state / "upgrade"
    folder.mkdir(exist_ok=True)
    pending = folder / "pending.json"
    pending.write_text("{}")
    try:
        yield None
    finally:
        pending.unlink()


@sabotage("SRV-051", alone=True)
def an_extension_is_of_the_version_before(scene: Scene) -> Iterator[Design | None]:
    """The binaries were changed, and nobody updated what lies in the databases."""
    change = "UPDATE pg_extension SET extversion = {} WHERE extname = 'plpgsql'"
    (old,) = scene.rows("SELECT extversion FROM pg_extension WHERE extname = 'plpgsql'")
    with scene.done_and_undone(change.format("'0.9'"), change.format(f"'{old[0]}'")):
        yield None


@sabotage("SRV-052", alone=True)
def statistics_are_gone(scene: Scene) -> Iterator[Design | None]:
    """The planner knows nothing of a table, as after an upgrade to 17."""
    made = "CREATE TABLE pgstead_guessed AS SELECT g FROM generate_series(1, 5000) AS g"
    lost = "DELETE FROM pg_statistic WHERE starelid = 'pgstead_guessed'::regclass"
    told = (made, "ANALYZE pgstead_guessed", lost)
    with scene.done_and_undone(told, "DROP TABLE pgstead_guessed", database="postgres"):
        yield None


SABOTAGES = (
    an_upgrade_was_killed,
    an_extension_is_of_the_version_before,
    statistics_are_gone,
)
