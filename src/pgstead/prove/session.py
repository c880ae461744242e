"""A session of a stranger: questions asked, statements tried, each an answer to be judged."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql

from pgstead.prove.finding import Answer, CannotTryError, Finding, answer, timed

Statement = str | sql.SQL | sql.Composed
Rows = list[tuple[Any, ...]]

DENIED = ("42501",)
PATIENCE = "SET LOCAL lock_timeout = '500ms'"


class Session:
    """A connection with the words for what is tried on it."""

    def __init__(self, connection: psycopg.Connection[Any], label: str) -> None:
        """`label` says who asks, and by which door."""
        self.connection = connection
        self.label = label

    def shown(self, statement: Statement, values: Sequence[object] = ()) -> str:
        """Return what evidence says of a statement."""
        text = statement if isinstance(statement, str) else statement.as_string(self.connection)
        bound = f" with {list(values)!r}" if values else ""
        return f"as {self.label}: {' '.join(text.split())}{bound}"

    def ask(self, statement: Statement, values: Sequence[object] = ()) -> Answer[Rows]:
        """Run a query that should work; where it does not, nothing is proven."""
        result = self.attempt(statement, values)
        if isinstance(result.value, psycopg.Error):
            raise CannotTryError(
                f"the question was refused: {result.text}", evidence=result.evidence
            )
        return Answer(result.tried, result.text, result.value, result.seconds, result.at)

    def attempt(
        self, statement: Statement, values: Sequence[object] = ()
    ) -> Answer[Rows | psycopg.Error]:
        """Run a statement, whatever becomes of it."""
        tried = self.shown(statement, values)
        query = (
            statement
            if isinstance(statement, sql.SQL | sql.Composed)
            else sql.SQL(_literal(statement))
        )
        result: Rows | psycopg.Error
        with timed() as watch:
            try:
                cursor = self.connection.execute(query, values or None)
                result = cursor.fetchall() if cursor.description else []
            except psycopg.Error as error:
                result = error
        return answer(tried, described(result), result, watch)

    @contextmanager
    def undone(self) -> Generator[None]:
        """Run the block in a transaction that is rolled back, with little patience for locks."""
        with self.connection.transaction(force_rollback=True):
            self.connection.execute(PATIENCE)
            yield

    def rehearse(
        self, statement: Statement, values: Sequence[object] = ()
    ) -> Answer[Rows | psycopg.Error]:
        """Run a statement in a transaction of its own that is rolled back."""
        with self.undone():
            try:
                with self.connection.transaction():
                    return self._or_raise(statement, values)
            except _AttemptError as failed:
                return failed.answer

    def _or_raise(
        self, statement: Statement, values: Sequence[object]
    ) -> Answer[Rows | psycopg.Error]:
        result = self.attempt(statement, values)
        if isinstance(result.value, psycopg.Error):
            raise _AttemptError(result)
        return result

    def must_refuse(
        self,
        statement: Statement,
        values: Sequence[object] = (),
        *,
        states: Sequence[str] = DENIED,
        hint: str = "",
        rehearsed: bool = True,
    ) -> Finding:
        """Judge a statement that this role may not run.

        `rehearsed=False` is for what cannot run in a transaction, and must then be harmless.
        """
        result = self.rehearse(statement, values) if rehearsed else self.attempt(statement, values)
        expected = f"a refusal with SQLSTATE {' or '.join(states)}"
        if not isinstance(result.value, psycopg.Error):
            return result.broken(expected, hint=hint, said="done, nothing refused it")
        if result.value.sqlstate in states:
            return result.kept()
        return result.unproven(f"refused for another reason; expected {expected}")


class _AttemptError(Exception):
    """Carries a refused attempt out of its savepoint."""

    def __init__(self, refused: Answer[Rows | psycopg.Error]) -> None:
        super().__init__(refused.text)
        self.answer = refused


def _literal(statement: str) -> Any:
    # psycopg asks for a literal to keep values out of statements; ours have none, and
    # identifiers come in as sql.Identifier.
    return statement


def described(result: Rows | psycopg.Error) -> str:
    """Return an answer as people read it."""
    if isinstance(result, psycopg.Error):
        message = result.diag.message_primary or str(result)
        return f"{result.sqlstate or 'no SQLSTATE'} {message}"
    if not result:
        return "no row"
    shown = "; ".join(", ".join(str(v) for v in row) for row in result[:8])
    return shown if len(result) <= 8 else f"{shown}; … ({len(result)} rows)"
