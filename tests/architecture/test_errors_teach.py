"""Every error that a user can meet has a code, a sentence and an exit status, and is documented."""

from __future__ import annotations

import pytest

from pgstead import errors
from pgstead.errors import ExitStatus, SteadError


def tree(root: type[SteadError]) -> list[type[SteadError]]:
    return [root, *(found for child in root.__subclasses__() for found in tree(child))]


# Only our own: a test elsewhere may have made one.
ERRORS = [e for e in tree(SteadError) if e.__module__ == errors.__name__]
each_error = pytest.mark.parametrize("error", ERRORS, ids=lambda e: e.__name__)


def test_no_two_errors_share_a_code() -> None:
    codes = [error.code for error in ERRORS]
    assert sorted(codes) == sorted(set(codes))


@each_error
def test_an_error_has_a_code_of_its_own(error: type[SteadError]) -> None:
    assert "code" in vars(error)
    assert error.code == error.code.lower().strip()


@each_error
def test_an_error_explains_itself_in_lower_case(error: type[SteadError]) -> None:
    sentence = (error.__doc__ or "").strip()
    assert sentence
    assert not sentence.endswith(".")
    assert sentence[0].islower() or sentence.startswith(("PgBouncer", "PostgreSQL"))


@each_error
def test_an_error_has_a_documented_exit_status(error: type[SteadError]) -> None:
    assert isinstance(error.exit_status, ExitStatus)
    assert error.exit_status is not ExitStatus.DONE


@each_error
def test_an_error_is_drawn_in_the_tree(error: type[SteadError]) -> None:
    assert error.__name__ in (errors.__doc__ or "")
