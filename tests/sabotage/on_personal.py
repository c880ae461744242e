"""Sabotages of what protects persons, on a stead in which one was erased."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

from pgstead.app.encryption import PersonFiles
from pgstead.app.encryption.place import Owner
from pgstead.model.design import Design
from pgstead.model.erasure import Erasure, erasures
from tests.sabotage.damage import sabotage
from tests.sabotage.scene import Scene

WHERE = "erased_scene"


def comment(scene: Scene, table: str, column: str) -> str:
    """Return the comment of a column."""
    asked = (
        "SELECT col_description(attrelid, attnum) FROM pg_attribute"
        " WHERE attrelid = %s::regclass AND attname = %s"
    )
    return str(scene.rows(asked, table, column, database=scene.plan.name)[0][0])


def commented(scene: Scene, table: str, column: str, changed: str) -> Iterator[None]:
    """Give a column another comment for a while."""
    before = comment(scene, table, column)
    place = f"COMMENT ON COLUMN {table}.{column} IS"
    with scene.done_and_undone(f"{place} '{changed}'", f"{place} '{before}'"):
        yield None


def erased(scene: Scene) -> Erasure:
    """Return somebody who was erased from the stead's own database."""
    told = erasures(Path(scene.design.layout.erasures).read_text().splitlines())
    return next(e for e in told if e.database == scene.plan.name)


@sabotage("PII-001", where=WHERE, alone=True)
def a_comment_is_rewritten_without_its_class(scene: Scene) -> Iterator[Design | None]:
    """Somebody described a column better, by hand."""
    yield from commented(scene, "users", "profile_data", "what people told us of themselves")


@sabotage("PII-002", where=WHERE, alone=True)
def projects_belong_to_nobody(scene: Scene) -> Iterator[Design | None]:
    """A migration dropped the word by which projects go with their owner."""
    yield from commented(scene, "projects", "created_by", "who began it [internal]")


@sabotage("PII-003", where=WHERE, alone=True)
def a_restore_brings_somebody_back(scene: Scene) -> Iterator[Design | None]:
    """A table was taken from an older dump, past `pgstead restore`."""
    erasure = erased(scene)
    where = f"WHERE id = '{erasure.key['id']}'"
    asked = f"SELECT email, name FROM users {where}"
    ((email, name),) = scene.rows(asked, database=scene.plan.name)
    with scene.done_and_undone(
        f"UPDATE users SET email = 'back@example.com', name = 'Back Again' {where}",
        f"UPDATE users SET email = '{email}', name = '{name}' {where}",
    ):
        yield None


@sabotage("PII-004", where=WHERE, alone=True)
def everybody_may_read_the_list(scene: Scene) -> Iterator[Design | None]:
    """A backup script was given what it asked for."""
    with scene.mode(Path(scene.design.layout.erasures), 0o644):
        yield None


@sabotage("PII-006", where=WHERE, alone=True)
def a_copy_of_the_secrets_is_put_back(scene: Scene) -> Iterator[Design | None]:
    """A disk was restored from a copy of before, with what the erasure had destroyed."""
    erasure = erased(scene)
    store = PersonFiles(Path(scene.design.layout.person_keys(erasure.database)))
    path = store.path(Owner(".".join(erasure.table), erasure.key["id"]))
    before = path.read_text()
    path.write_text(f"pgstead-person-1 {base64.b64encode(bytes(32)).decode()}\n")
    try:
        yield None
    finally:
        path.write_text(before)


SABOTAGES = (
    a_comment_is_rewritten_without_its_class,
    projects_belong_to_nobody,
    a_restore_brings_somebody_back,
    everybody_may_read_the_list,
    a_copy_of_the_secrets_is_put_back,
)
