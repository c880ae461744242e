"""The column: its SQLAlchemy type, how a model declares it, and what it refuses.

    class TenantConfig(Base):
        api_key: Mapped[Encrypted[str]] = encrypted_column(str, stored=Text())

The type lets ciphertext through and nothing else, on every path: ORM, bulk insert, Core, literals.
A plaintext can reach the table only by raw SQL, and `sealed_check` refuses that in the server.
"""

from __future__ import annotations

from typing import Any, NoReturn, TypeVar, cast

from sqlalchemy import CheckConstraint, Dialect, LargeBinary, String, Table
from sqlalchemy.orm import MappedColumn, mapped_column
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.types import TypeDecorator, TypeEngine

from pgstead.app.encryption.declaration import TENANT, Declaration, Normalize, normalized
from pgstead.app.encryption.envelope import AES_256_GCM, FORMAT, LEAST, from_text, to_text
from pgstead.app.encryption.errors import EncryptionError, NotSealedError, UnsealedError
from pgstead.app.encryption.value import KINDS, Encrypted

V = TypeVar("V")

# The first two bytes of a value are 16 of the 24 bits that four characters of base64 stand for.
_TEXT = "^AQ[E-H][A-Za-z0-9+/]*={0,2}$"


class EncryptedType(TypeDecorator[Encrypted[Any]]):
    """A column that holds AES-256-GCM ciphertext, as `bytea` or as base64 in a text column."""

    impl = LargeBinary
    cache_ok = True

    def __init__(
        self,
        declaration: Declaration | None = None,
        stored: TypeEngine[Any] | None = None,
    ) -> None:
        """Keep what the model says; `stored` is LargeBinary, Text or String(n)."""
        super().__init__()
        self.declaration = declaration or Declaration()
        self.stored = stored or LargeBinary()
        self.textual = isinstance(self.stored, String)
        if self.declaration.kind not in KINDS:
            raise EncryptionError(
                f"a column cannot hold Encrypted[{self.declaration.kind.__name__}]",
                hint="str, bytes, or a dict that JSON can hold",
            )

    @property
    def pgstead_encrypted(self) -> Declaration:
        """What tells an encrypted column to those that do not import this library."""
        return self.declaration

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:  # noqa: ARG002
        """Be what the column is in the database.

        Not by `dialect.type_descriptor`: that takes Text for String, so VARCHAR in DDL.
        """
        return self.stored

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002
        """Let ciphertext through; anything else would be stored as plaintext."""
        if value is None:
            return None
        if not isinstance(value, Encrypted):
            raise UnsealedError(
                f"a plain {type(value).__name__} was about to be stored in an encrypted column",
                hint="wrap it: Encrypted(value), and add the object to a session",
            )
        stored = cast("Encrypted[Any]", value).stored
        return to_text(stored) if self.textual else stored

    def literal_processor(self, dialect: Dialect) -> NoReturn:  # noqa: ARG002
        """Refuse here: what a processor raises, SQLAlchemy reports together with the value."""
        raise UnsealedError(
            "a value of an encrypted column was about to become a literal of a statement",
            hint="bind it instead: literals stand in logs and plans",
        )

    def process_result_value(
        self,
        value: Any,
        dialect: Dialect,  # noqa: ARG002
    ) -> Encrypted[Any] | None:
        """Wrap ciphertext. What is none is said when it is asked for, not when the row is read."""
        if value is None:
            return None
        kind = self.declaration.kind
        if not self.textual:
            return Encrypted.of_stored(bytes(value), kind)
        try:
            return Encrypted.of_stored(from_text(value, "an encrypted column"), kind)
        except NotSealedError as trouble:
            return Encrypted.of_stored(b"", kind, trouble)

    class Comparator(TypeDecorator.Comparator[Any]):
        """Compare with NULL, and with nothing else: equal plaintexts have different ciphertexts."""

        def operate(self, op: Any, *other: Any, **options: Any) -> ColumnElement[Any]:
            """Refuse what could never be true."""
            plain = op in (operators.eq, operators.ne, operators.is_, operators.is_not)
            if plain and other and other[0] is None:
                return super().operate(op, *other, **options)
            raise EncryptionError(
                "an encrypted column can be compared with None only",
                hint="for equality give it a blind index and ask with blind_match(); order, LIKE "
                "and ranges are what encryption gives up",
            )

        def reverse_operate(self, op: Any, other: Any, **options: Any) -> ColumnElement[Any]:
            """Refuse it from the other side too."""
            return self.operate(op, other, **options)

    comparator_factory = Comparator  # pyright: ignore[reportAssignmentType]

    def __repr__(self) -> str:
        return f"EncryptedType(stored={self.stored!r})"


def encrypted_column(
    kind: type[V],
    *,
    stored: TypeEngine[Any] | None = None,
    label: str | None = None,
    tenant: str | None = TENANT,
    blind_index: str | None = None,
    normalize: Normalize = normalized,
    owner: str | None = None,
    **options: Any,
) -> MappedColumn[Any]:
    """Declare an encrypted column, for `name: Mapped[Encrypted[str]]`.

    Args:
        kind: what is encrypted: str, bytes or dict (as JSON).
        stored: LargeBinary() (the default), Text() or String(n); a value of n bytes takes
            n + 34 bytes, in text four characters for each three bytes of these.
        label: bound to the values instead of `table.column`. Set it to the old name before a
            table or column is renamed; otherwise every value has to be encrypted anew.
        tenant: the column whose value is bound too, where the table has it. None: bind none.
        blind_index: the name of the `blind_index_column` for look-ups by equality.
        normalize: what makes two spellings one, before they are indexed.
        owner: the column that names the person whose the value is: a foreign key to their row, or
            the table's own key where the row is the person. Such a value needs a secret of theirs
            beside the ring, and `pgstead pii erase` destroys it: no backup opens it any more.
        options: what `mapped_column` takes.
    """
    declaration = Declaration(kind, label, tenant, blind_index, normalize, owner)
    return mapped_column(EncryptedType(declaration, stored), **options)


def blind_index_column(**options: Any) -> MappedColumn[Any]:
    """Declare the column that an encrypted one is looked up by; the mapper fills it."""
    return mapped_column(LargeBinary(20), **options)


def sealed_condition(column: str, *, textual: bool) -> str:
    """Return the SQL that says whether a column, quoted already, holds a value of this library."""
    if textual:
        least = 4 * ((LEAST + 2) // 3)
        return f"length({column}) >= {least} AND {column} ~ '{_TEXT}'"
    return (
        f"octet_length({column}) >= {LEAST} AND get_byte({column}, 0) = {FORMAT}"
        f" AND get_byte({column}, 1) = {AES_256_GCM}"
    )


def sealed_check(column: str, *, textual: bool = False) -> CheckConstraint:
    """Return a CHECK that refuses what is not a value of this library: raw SQL with plaintext.

    Give it to `__table_args__`; it is named after the column by the naming convention.
    """
    return CheckConstraint(sealed_condition(column, textual=textual), name=f"{column}_sealed")


def encrypted_columns(table: Table) -> tuple[tuple[str, EncryptedType], ...]:
    """Return the encrypted columns of a table, by name."""
    return tuple((c.name, c.type) for c in table.columns if isinstance(c.type, EncryptedType))
