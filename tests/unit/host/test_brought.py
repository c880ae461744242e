"""What a manifest names, on its way into the volume of the state."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgstead.design.brought import files
from pgstead.design.containers import inside
from pgstead.errors import HostError
from pgstead.host import brought
from pgstead.manifest.load import parse
from tests.unit.design import world

NAMED = '\n[tls]\nca = "ca"\ncertificate = "crt"\nkey = "key"\n'


def _written(place: Path, *names: str) -> None:
    for name in names:
        (place / name).write_text(f"{name}'s\n")


def test_what_the_manifest_names_is_read_beside_it(tmp_path: Path) -> None:
    _written(tmp_path, "ca", "crt", "key")
    told = brought.texts(files(parse(world.text(more=NAMED))), tmp_path)
    assert told == {"tls.ca": "ca's\n", "tls.certificate": "crt's\n", "tls.key": "key's\n"}


def test_a_file_that_is_not_there_is_named_by_its_key(tmp_path: Path) -> None:
    _written(tmp_path, "ca", "crt")
    with pytest.raises(HostError, match=r"tls\.key"):
        brought.texts(files(parse(world.text(more=NAMED))), tmp_path)


def test_what_is_taken_is_for_its_owner_alone_and_what_is_not_named_goes(tmp_path: Path) -> None:
    place = tmp_path / "brought"
    brought.take({"tls.key": "one", "tls.ca": "two"}, place=str(place))
    brought.take({"tls.key": "other"}, only=True, place=str(place))
    assert {p.name: p.read_text() for p in place.iterdir()} == {"tls.key": "other"}
    assert (place / "tls.key").stat().st_mode & 0o777 == 0o600
    assert place.stat().st_mode & 0o777 == 0o700


def test_a_key_leads_nowhere_else(tmp_path: Path) -> None:
    brought.take({"../../escaped": "x"}, place=str(tmp_path / "a" / "brought"))
    assert [p.name for p in (tmp_path / "a" / "brought").iterdir()] == ["escaped"]


def test_what_was_not_brought_is_said_with_the_way_to_bring_it() -> None:
    with pytest.raises(HostError) as caught:
        brought.must_be_there(files(inside(parse(world.text(more=NAMED)))))
    assert "provision bring tls.ca" in str(caught.value.hint)
