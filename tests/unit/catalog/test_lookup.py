"""Settings of the server: canonical values, units, ranges, and what was probably meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgstead.catalog import lookup
from pgstead.catalog.lookup import MAJORS, Spec
from pgstead.errors import ManifestError

NUMERIC = [
    (major, spec)
    for major in MAJORS
    for spec in lookup.settings(major).values()
    if spec.type == "integer" and spec.name not in {"unix_socket_permissions", "log_file_mode"}
    and spec.name != "data_directory_mode"
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "written", "shown"),
    [
        ("work_mem", "16MB", "16384"),
        ("work_mem", " 16 MB ", "16384"),
        ("work_mem", "0x400", "1024"),
        ("work_mem", "1.5MB", "1536"),
        ("shared_buffers", "1GB", "131072"),
        ("checkpoint_timeout", "900000ms", "900"),
        ("idle_session_timeout", "15min", "900000"),
        ("random_page_cost", "1.10", "1.1"),
        ("hash_mem_multiplier", "2", "2"),
        ("ssl", "TRUE", "on"),
        ("ssl", "of", "off"),
        ("ssl", "0", "off"),
        ("wal_level", "Replica", "replica"),
        ("ssl_min_protocol_version", "tlsv1.3", "TLSv1.3"),
        ("unix_socket_permissions", "0700", "0700"),
        ("unix_socket_permissions", "448", "0700"),
        ("log_line_prefix", "%t ", "%t "),
        ("TIMEZONE", "UTC", "UTC"),
    ],
)
def test_a_value_becomes_what_pg_settings_shows(name: str, written: str, shown: str) -> None:
    assert lookup.canonical(18, name, written) == shown


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("work_mem", "16mb", 'did you mean "MB"?'),
        ("work_mem", "16m", "units: B, kB, MB, GB, TB"),
        ("work_mem", "1kB", "allowed: 64 to 2147483647 (unit: kB)"),
        ("work_mem", "much", "allowed: 64 to 2147483647 (unit: kB)"),
        ("max_connections", "10MB", "it takes no unit; allowed: 1 to 262143"),
        ("wal_level", "replic", 'did you mean "replica"?; allowed: minimal, replica, logical'),
        ("ssl", "o", "allowed: on or off"),
        ("unix_socket_permissions", "1000", "allowed: 0000 to 0777"),
        ("checkpoint_completion_target", "1.5", "allowed: 0 to 1"),
    ],
)
def test_an_impossible_value_is_refused_with_what_is_allowed(
    name: str, value: str, hint: str
) -> None:
    with pytest.raises(ManifestError) as caught:
        lookup.canonical(18, name, value)
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("major", "name", "hint"),
    [
        (18, "work_memory", 'did you mean "work_mem"?'),
        (18, "wrok_mem", 'did you mean "work_mem"?'),
        (17, "io_method", "it exists in 18"),
        (15, "reserved_connections", "it exists in 16, 17, 18"),
        (18, "qqqqqq", ""),
    ],
)
def test_an_unknown_setting_is_refused_with_the_one_meant(major: int, name: str, hint: str) -> None:
    with pytest.raises(ManifestError) as caught:
        lookup.spec(major, name)
    assert caught.value.hint == hint


@given(st.sampled_from(NUMERIC), st.integers())
def test_what_a_setting_displays_means_the_same_value(
    setting: tuple[int, Spec], number: int
) -> None:
    major, spec = setting
    assert spec.minimum is not None
    assert spec.maximum is not None
    span = int(spec.maximum) - int(spec.minimum) + 1
    value = str(int(spec.minimum) + number % span)
    assert lookup.canonical(major, spec.name, value) == value
    shown = lookup.display(major, spec.name, value)
    assert lookup.canonical(major, spec.name, shown) == value


@pytest.mark.parametrize("major", MAJORS)
def test_every_default_is_a_valid_value_of_its_setting(major: int) -> None:
    for spec in lookup.settings(major).values():
        if spec.context != "internal" and spec.name != "unix_socket_permissions":
            lookup.canonical(major, spec.name, spec.default)


@pytest.mark.parametrize("major", MAJORS)
def test_the_catalogue_knows_the_modules_that_are_loaded(major: int) -> None:
    known = lookup.settings(major)
    assert {"auth_delay.milliseconds", "auto_explain.log_min_duration"} <= set(known)
    assert {"pg_stat_statements.max", "lc_messages"} <= set(known)


def test_the_catalogue_holds_no_path_of_the_machine_that_made_it() -> None:
    for major in MAJORS:
        for spec in lookup.settings(major).values():
            assert not spec.default.startswith("/"), spec.name
