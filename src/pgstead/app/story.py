"""What is logged of an error: where it came from, and nothing that can hold a value of a row."""

from __future__ import annotations

import traceback
from collections.abc import Iterator

from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError


def story(error: BaseException) -> Iterator[str]:
    """Yield the traceback and its causes, with the messages that can hold no value of a row."""
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        yield from story(cause)
        yield "which led to:\n"
    yield from traceback.format_tb(error.__traceback__)
    yield f"{type(error).__name__}{_words(error)}\n"


def _words(error: BaseException) -> str:
    if isinstance(error, DBAPIError):
        return f" (SQLSTATE {getattr(error.orig, 'sqlstate', None)}) at: {error.statement}"
    if hasattr(error, "sqlstate"):
        return f" (SQLSTATE {getattr(error, 'sqlstate', None)})"
    if isinstance(error, (ValidationError, SQLAlchemyError)):
        return ""
    return f": {error}"
