"""libpq's password file, as we read it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgstead.app.passfile import Credential, Login, Password, PasswordError, credential, split
from pgstead.model.passfile import passfile_line, secret_text
from pgstead.model.standin import standin_of

# a line of a file: no line break of any kind
words = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Zl", "Zp")), min_size=1)


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    """Write a password file."""
    path.touch(mode=mode)
    path.chmod(mode)
    path.write_text(text)
    return path


@given(user=words, password=words)
def test_what_the_foundation_writes_is_read_back(user: str, password: str) -> None:
    assert split(passfile_line(user, password).rstrip("\n")) == ("*", "*", "*", user, password)


def test_the_first_line_that_matches_counts(tmp_path: Path) -> None:
    lines = (
        "# h:1:d:u:comment\n"
        "short:line\n"
        "other:5432:db:u:no\n"
        "h:5432:db:v:no\n"
        "h:*:db:u:pass\\:wo\\\\rd\n"
        "*:*:*:*:last\n"
    )
    path = write(tmp_path / "pass", lines)
    assert credential(path, Login("h", 5432, "db", "u")).password == "pass:wo\\rd"
    assert credential(path, Login("h", 5432, "db2", "u")).password == "last"


def test_a_password_may_hold_bare_colons_at_its_end(tmp_path: Path) -> None:
    path = write(tmp_path / "pass", "h:1:d:u:a:b:c\n")
    assert credential(path, Login("h", 1, "d", "u")).password == "a:b:c"


def test_a_socket_directory_is_written_localhost(tmp_path: Path) -> None:
    path = write(tmp_path / "pass", "localhost:1:d:u:x\n")
    assert credential(path, Login("/run/postgresql", 1, "d", "u")).password == "x"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = write(tmp_path / "pass", "*:*:*:*:x\n", mode)
    with pytest.raises(PasswordError, match="readable by others"):
        credential(path, Login("h", 1, "d", "u"))


def test_no_line_is_an_error_without_any_value(tmp_path: Path) -> None:
    path = write(tmp_path / "pass", "h:1:d:other:secret\n")
    with pytest.raises(PasswordError, match="has no line for u at h:1") as caught:
        credential(path, Login("h", 1, "d", "u"))
    assert "secret" not in str(caught.value) + caught.value.hint


def test_a_password_follows_its_file_and_is_in_no_repr(tmp_path: Path) -> None:
    path = write(tmp_path / "pass", "*:*:*:*:before\n")
    password = Password.of_file(path, Login("h", 1, "d", "u"))
    assert password() == "before"
    path.write_text("*:*:*:*:after\n")
    assert password() == "after"
    assert "after" not in repr(password)


def test_a_file_that_is_gone_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "pass", "*:*:*:*:x\n")
    password = Password.of_file(path, Login("h", 1, "d", "u"))
    path.unlink()
    with pytest.raises(PasswordError, match="cannot be read"):
        password()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_who_may_not_read_it_any_more_goes_on_with_what_was_read(tmp_path: Path) -> None:
    path = write(tmp_path / "pass", "*:*:*:*:x\n")
    password = Password.of_file(path, Login("h", 1, "d", "u"))
    path.chmod(0)
    assert password() == "x"


def test_who_logs_in_follows_the_file_while_a_password_is_changed(tmp_path: Path) -> None:
    login = Login("h", 1, "d", "u:1")
    values = {"u:1": "own", "u:1_standin": "lent"}
    own, both = (
        secret_text("passfiles", ["u:1"], values.__getitem__, known)
        for known in ({"u:1": 0o600}.get, dict.fromkeys(values, 0o600).get)
    )
    assert own is not None
    assert both is not None
    path = write(tmp_path / "pass", both)
    first = next(f for f in map(split, both.splitlines()) if f[3:4] == ("u:1",))
    assert first[4] == "own"  # libpq goes on as the role
    password = Password.of_file(path, login)
    assert password.credential() == Credential("u:1_standin", "lent")
    assert password.user() == "u:1_standin"
    path.write_text(own)
    assert password.credential() == Credential("u:1", "own")
    assert "own" not in repr(password.credential())


@pytest.mark.parametrize("role", ["shop_app", "a" * 63, "ü" * 31, "a" * 62 + "b"])
def test_a_stand_in_has_a_name_of_its_own_that_fits(role: str) -> None:
    standin = standin_of(role)
    assert standin != role
    assert standin.endswith("_standin")
    assert len(standin.encode()) <= 63
    assert standin != standin_of(role[:-1] + "c")
