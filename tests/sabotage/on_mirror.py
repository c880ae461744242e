"""Sabotages of the copy of the backups in object storage (test_backups.py)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pgstead.model.design import Design
from pgstead.model.mirror import INDEX, index_of
from pgstead.ports.mirror import MirrorPorts, Transfer
from pgstead.workflows import segments
from tests.sabotage.damage import sabotage
from tests.sabotage.on_backups import WHERE, plan
from tests.sabotage.scene import Scene


def mirror(scene: Scene) -> MirrorPorts:
    """Return what the copy is kept with."""
    assert scene.ports.backup is not None
    assert scene.ports.backup.mirror is not None
    return scene.ports.backup.mirror


def victim(scene: Scene) -> Transfer:
    """Return an object of the copy, with the file that it is of."""
    index = index_of(mirror(scene).store.read(INDEX) or "")
    path, copy = next((p, c) for p, c in index.copies.items() if "/base/" in p)
    where = Path(plan(scene).repository, path)
    return Transfer(copy.key, str(where), copy.size, copy.sha256)


@sabotage("BAK-020", where=WHERE)
def nobody_copies_the_wal(scene: Scene) -> Iterator[Design | None]:
    """What copies is stopped, and a segment has been full for longer than the manifest allows."""
    assert scene.ports.backup is not None
    segments.close(scene.ports)
    told = plan(scene)
    assert told.mirror is not None
    time.sleep(0.1)
    late = replace(told, mirror=replace(told.mirror, max_age=0.001))
    yield replace(scene.design, backup=late)


@sabotage("BAK-020", also=("BAK-021",), where=WHERE)
def the_index_of_the_copy_was_edited(scene: Scene) -> Iterator[Design | None]:
    """Somebody changed a number in the index."""
    text = mirror(scene).store.read(INDEX) or ""
    mirror(scene).store.write(INDEX, text.replace('"number": ', '"number": 1'))
    try:
        yield None
    finally:
        mirror(scene).store.write(INDEX, text)


@sabotage("BAK-021", where=WHERE)
def an_object_of_the_copy_is_deleted(scene: Scene) -> Iterator[Design | None]:
    """A rule of the bucket let go of what was old."""
    lost = victim(scene)
    mirror(scene).store.delete([lost.key])
    try:
        yield None
    finally:
        mirror(scene).store.put([lost])


@sabotage("BAK-021", where=WHERE)
def an_object_of_the_copy_is_changed(scene: Scene) -> Iterator[Design | None]:
    """Somebody put something else into its place."""
    lost = victim(scene)
    mirror(scene).store.write(lost.key, "something else")
    try:
        yield None
    finally:
        mirror(scene).store.put([lost])


SABOTAGES = (
    nobody_copies_the_wal,
    the_index_of_the_copy_was_edited,
    an_object_of_the_copy_is_deleted,
    an_object_of_the_copy_is_changed,
)
