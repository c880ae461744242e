"""destroy knows every place that the layout has."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from pgstead.model.layout import Layout
from pgstead.workflows import destroy
from pgstead.workflows.destroy import made
from tests.unit.design.world import composed


def test_no_place_of_the_layout_is_left() -> None:
    design = composed()
    layout, gone = design.layout, set(made(design))
    found = {
        name: place
        for name, member in vars(Layout).items()
        if isinstance(member, property)
        and isinstance(place := getattr(layout, name), PurePosixPath)
        and layout.state in place.parents
    }
    assert len(found) > 20
    left = [name for name, place in found.items() if not gone & {place, *place.parents}]
    assert left == []


@pytest.mark.parametrize("outside", [(), (PurePosixPath("/srv/backups"),)])
def test_the_lock_goes_last_so_that_nothing_of_the_next_stead_does(
    monkeypatch: pytest.MonkeyPatch, outside: tuple[PurePosixPath, ...]
) -> None:
    monkeypatch.setattr(destroy, "backups_outside", lambda _: outside)
    design = composed()
    *before, last = made(design)
    assert last == design.layout.lock
    assert design.layout.identity in before
