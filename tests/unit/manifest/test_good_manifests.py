"""What a manifest may say, what it need not say, and the files that describe it."""

from __future__ import annotations

import tomllib
from datetime import date
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgstead.errors import ManifestError
from pgstead.manifest import names
from pgstead.manifest.load import load, parse
from pgstead.manifest.quantities import duration, size, written_duration, written_size
from pgstead.manifest.schema import json_schema
from pgstead.manifest.starter import quoted, text

ROOT = Path(__file__).resolve().parents[3]
SMALL = 'version = 1\nname = "s"\n[[databases]]\nname = {}\n'
ODD = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=1, max_size=9
).filter(lambda name: not names.problem(name) and not names.reserved(name))


@pytest.mark.parametrize("path", ["pgstead.toml", "systems/jeex_idea/pgstead.toml"])
def test_the_manifests_of_this_repository_are_valid(path: str) -> None:
    manifest = load(ROOT / path)
    assert manifest.databases[0].name == "jeex_idea"
    assert manifest.databases[0].app == "jeex_user"


@pytest.mark.parametrize("path", ["pgstead.toml", "systems/jeex_idea/pgstead.toml"])
def test_the_json_schema_accepts_them_too(path: str) -> None:
    told = tomllib.loads((ROOT / path).read_text())
    jsonschema.Draft202012Validator(json_schema()).validate(told)


def test_the_json_schema_refuses_an_unknown_key() -> None:
    wrong = {"version": 1, "name": "x", "databases": [{"name": "x"}], "prot": 1}
    assert not jsonschema.Draft202012Validator(json_schema()).is_valid(wrong)


def test_the_json_schema_accepts_a_setting_with_and_without_reason() -> None:
    told = tomllib.loads(
        SMALL.format('"x"')
        + '[server.settings]\nwork_mem = "8MB"\njit = false\nmax_connections = 90\n'
        + 'random_page_cost = { value = 1.5, reason = "measured" }\n'
    )
    jsonschema.Draft202012Validator(json_schema()).validate(told)


def test_every_key_is_described() -> None:
    schema = json_schema()
    for name, definition in {**schema["$defs"], "Manifest": schema}.items():
        if "enum" in definition:
            continue
        for key, told in definition["properties"].items():
            described = "description" in told or "$ref" in told or "items" in told
            assert described, f"{name}.{key}"


@given(ODD)
def test_any_name_that_a_file_can_bear_works_and_names_its_roles(name: str) -> None:
    entry = parse(SMALL.format(quoted(name))).databases[0]
    roles = [entry.owner, entry.app, entry.admin, entry.readonly, entry.migrator]
    assert entry.name == name
    assert all(role.startswith(name) for role in roles)
    assert len(set(roles)) == 5


def test_the_roles_of_a_long_name_are_shortened_to_what_the_server_keeps() -> None:
    entry = parse(SMALL.format(quoted("é" * 31))).databases[0]
    assert len(entry.migrator.encode()) <= 63
    assert entry.migrator.endswith("_migrator")


def test_the_strictest_figures_of_the_systems_are_the_defaults() -> None:
    pool = parse(SMALL.format('"x"')).databases[0].pool
    assert (pool.size, pool.max_overflow, pool.timeout) == (20, 10, 5.0)


def test_a_setting_may_be_any_scalar() -> None:
    manifest = parse(
        SMALL.format('"x"')
        + "[server.settings]\njit = true\nrandom_page_cost = 1.5\nmax_connections = 300\n"
    )
    chosen = {name: choice.value for name, choice in manifest.server.settings.items()}
    assert chosen == {"jit": "on", "random_page_cost": "1.5", "max_connections": "300"}


def test_a_waiver_is_kept_until_its_last_day() -> None:
    waiver = '[[waive]]\nwhat = "open-network"\nreason = "r"\nexpires = 2026-11-21\n'
    manifest = parse(SMALL.format('"x"') + waiver, today=date(2026, 11, 21))
    assert manifest.waives("open-network")
    assert not manifest.waives("else")


@given(ODD)
def test_a_starter_manifest_is_valid_for_any_name(name: str) -> None:
    manifest = parse(text(name))
    assert manifest.name == name
    assert manifest.databases[0].name == name


def test_every_line_that_the_starter_leaves_out_is_valid_too() -> None:
    lines = text("shop").splitlines()
    prose = ("A setting chosen", "Roles are")
    uncommented = [line.removeprefix("# ") for line in lines[2:]]
    kept = [line for line in uncommented if not line.startswith(prose)]
    manifest = parse("\n".join(kept))
    assert manifest.databases[0].service is not None
    assert manifest.server.settings["work_mem"].reason


@given(st.integers(1, 2**50))
def test_a_size_is_read_as_it_was_written(count: int) -> None:
    whole = count * 1024
    assert size(written_size(whole)) == whole


@given(st.integers(1, 10**9))
def test_a_duration_is_read_as_it_was_written(milliseconds: int) -> None:
    assert round(duration(written_duration(milliseconds / 1000)) * 1000) == milliseconds


def test_a_missing_manifest_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ManifestError) as caught:
        load(tmp_path / "none.toml")
    assert "pgstead init" in caught.value.hint


def test_a_manifest_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pgstead.toml"
    path.write_bytes('name = "é"'.encode("latin-1"))
    with pytest.raises(ManifestError, match="is not UTF-8"):
        load(path)


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "pgstead.toml"
    path.write_bytes(b"\xef\xbb\xbf" + SMALL.format('"x"').encode())
    assert load(path).name == "s"


def test_declared_maintenance_has_a_beginning_and_a_later_end_with_their_zone() -> None:
    window = "[[telemetry.maintenance]]\nbegins = {}\nends = {}\n"
    begins, ends = "2026-12-01T02:00:00Z", "2026-12-01T05:00:00+01:00"
    manifest = parse(SMALL.format('"x"') + window.format(begins, ends), "pgstead.toml")
    (told,) = manifest.telemetry.maintenance
    assert (told.ends - told.begins).total_seconds() == 7200
    for wrong in (window.format(ends, begins), window.format("2026-12-01T02:00:00", ends)):
        with pytest.raises(ManifestError):
            parse(SMALL.format('"x"') + wrong, "pgstead.toml")
