"""Passwords in files."""

from __future__ import annotations

import stat
from pathlib import Path, PurePosixPath

import pytest

from pgstead.errors import SteadError
from pgstead.host.secrets import SecretFiles


@pytest.fixture
def secrets(tmp_path: Path) -> SecretFiles:
    """A store of secrets."""
    return SecretFiles(PurePosixPath(tmp_path / "secrets"))


def test_a_password_is_made_once_and_is_strong(secrets: SecretFiles) -> None:
    secrets.ensure("a b'c%")
    value = secrets.value("a b'c%")
    secrets.ensure("a b'c%")
    assert secrets.value("a b'c%") == value
    assert len(value) >= 32
    assert secrets.names() == ("a b'c%",)


def test_only_its_owner_can_read_it_whatever_the_umask(
    secrets: SecretFiles, tmp_path: Path
) -> None:
    secrets.ensure("app")
    assert secrets.mode("app") == 0o600
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700


def test_a_loosened_mode_is_mended_and_the_value_stays(
    secrets: SecretFiles, tmp_path: Path
) -> None:
    secrets.ensure("app")
    value = secrets.value("app")
    (tmp_path / "secrets" / "app").chmod(0o644)
    assert secrets.mode("app") == 0o644
    secrets.ensure("app")
    assert (secrets.mode("app"), secrets.value("app")) == (0o600, value)


def test_a_users_own_password_is_taken_with_all_its_characters(
    secrets: SecretFiles, tmp_path: Path
) -> None:
    secrets.ensure("app")
    (tmp_path / "secrets" / "app").write_text(" p%41 'q' \"r\" \\:ü \n")
    assert secrets.value("app") == " p%41 'q' \"r\" \\:ü "


def test_what_is_not_there_is_said(secrets: SecretFiles) -> None:
    assert secrets.names() == ()
    assert secrets.mode("app") is None
    with pytest.raises(SteadError, match="no secret for 'app'"):
        secrets.value("app")
    secrets.remove("app")


@pytest.mark.parametrize("text", [b"", b"\n", b"a\nb\n", b"\xff\n", b"a\0b\n"])
def test_a_damaged_secret_is_refused_without_showing_it(
    secrets: SecretFiles, tmp_path: Path, text: bytes
) -> None:
    secrets.ensure("app")
    (tmp_path / "secrets" / "app").write_bytes(text)
    with pytest.raises(SteadError) as caught:
        secrets.value("app")
    assert "a\nb" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a\0b"])
def test_a_name_that_leads_elsewhere_is_refused(secrets: SecretFiles, name: str) -> None:
    with pytest.raises(SteadError, match="cannot be named"):
        secrets.ensure(name)


def test_no_value_shows_in_a_representation(secrets: SecretFiles) -> None:
    secrets.ensure("app")
    assert secrets.value("app") not in repr(secrets)
