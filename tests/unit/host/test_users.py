"""Whose the servers are."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgstead.errors import NoServerUserError
from pgstead.host import programs, users

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="root only")
as_user = pytest.mark.skipif(os.geteuid() == 0, reason="ordinary users only")


@as_root
def test_as_root_servers_and_services_are_two_unprivileged_users() -> None:
    server, service = users.choose(None, users={"postgres": 101, "nobody": 65534})
    assert (server, service) == ("postgres", "nobody")


@as_root
def test_without_a_postgres_user_nobody_serves() -> None:
    assert users.choose(None, users={"nobody": 65534, "daemon": 1}) == ("nobody", "daemon")


@as_root
def test_the_manifests_user_comes_first() -> None:
    found = users.choose("db", users={"db": 999, "postgres": 101, "nobody": 65534})
    assert found == ("db", "nobody")


@as_root
@pytest.mark.parametrize(
    ("wanted", "there", "message"),
    [
        (None, {}, "no unprivileged user for the servers"),
        (None, {"postgres": 101}, "need another user"),
        ("root", {"postgres": 101}, "root must not run a server"),
        ("gone", {"postgres": 101}, "there is no such user"),
    ],
)
def test_root_without_a_user_to_become_is_told_what_to_do(
    wanted: str | None, there: dict[str, int], message: str
) -> None:
    with pytest.raises(NoServerUserError, match=message) as caught:
        users.choose(wanted, users=there)
    assert "useradd" in caught.value.hint


@as_user
def test_an_ordinary_user_runs_everything() -> None:
    assert users.choose(None) == (programs.my_name(), programs.my_name())


@as_user
def test_an_ordinary_user_cannot_become_another() -> None:
    with pytest.raises(NoServerUserError, match="only root"):
        users.choose("postgres" if programs.my_name() != "postgres" else "nobody")


@pytest.fixture
def closed() -> Iterator[Path]:
    """A directory that only its owner can enter."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name) / "a b'c"


@as_root
def test_a_closed_directory_cannot_be_traversed(closed: Path) -> None:
    assert not users.can_traverse(closed, "nobody")
    closed.parent.chmod(0o711)
    assert users.can_traverse(closed, "nobody")


def test_a_programs_failure_is_an_outcome_and_no_exception() -> None:
    assert programs.run(["/no/such/program"]).status == 127
    assert programs.run(["sleep", "5"], timeout=0.1).status == 124
    assert programs.run(["sh", "-c", "echo out; echo err >&2; exit 3"]).words == "out\nerr"
