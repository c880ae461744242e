"""A column that takes another's place, as a value: its types, both directions, its trigger."""

from __future__ import annotations

from dataclasses import dataclass, field

from pgstead.app.staged.pace import Pace
from pgstead.app.staged.stages import name_of, quoted

# Triggers of one kind fire in the order of their names: what other triggers do to the columns has
# to be done by then (https://www.postgresql.org/docs/current/trigger-definition.html).
PREFIX = "zz_pgstead_mirror"


@dataclass(frozen=True, slots=True)
class Replacement:
    """A column `new` that takes the place of `old`: of another type, of another name, or both.

    Types, defaults and expressions are SQL. `forward` computes the new value of a row from its old
    columns (`"(price * 100)::bigint"`), `backward` the old one from the new; without them the
    value is converted as an assignment would.
    """

    table: str
    old: str
    new: str
    old_type: str
    new_type: str
    forward: str | None = None
    backward: str | None = None
    nullable: bool = True
    old_default: str | None = None
    new_default: str | None = None
    schema: str | None = None
    pace: Pace = field(default_factory=Pace)

    @property
    def sql(self) -> str:
        """The table as a statement may hold it."""
        return quoted(self.table, self.schema)

    @property
    def to_new(self) -> str:
        """The new value, as SQL of the row."""
        return self.forward or quoted(self.old)

    @property
    def to_old(self) -> str:
        """The old value, as SQL of the row."""
        return self.backward or quoted(self.new)

    @property
    def unfilled(self) -> str:
        """The condition of rows that have no new value yet, and should."""
        return f"{quoted(self.new)} IS NULL AND ({self.to_new}) IS NOT NULL"

    @property
    def unfilled_back(self) -> str:
        """The condition of rows that have no old value, and should."""
        return f"{quoted(self.old)} IS NULL AND ({self.to_old}) IS NOT NULL"

    @property
    def trigger(self) -> str:
        """The name of the trigger."""
        return name_of(PREFIX, self.table, self.old, self.new)

    @property
    def function(self) -> str:
        """The function of the trigger, as a statement may hold it."""
        return quoted(self.trigger, self.schema)

    def mirror(self) -> tuple[str, ...]:
        """Return the statements that make the trigger."""
        function = _FUNCTION.format(
            function=self.function,
            path=quoted(self.schema or "public"),
            old=quoted(self.old),
            new=quoted(self.new),
            old_type=self.old_type,
            new_type=self.new_type,
            to_new=self.to_new,
            to_old=self.to_old,
        )
        comment = "trigger: keeps two columns equal until a migration drops the old one"
        trigger = (
            f"CREATE TRIGGER {quoted(self.trigger)} BEFORE INSERT OR UPDATE ON {self.sql}"
            f" FOR EACH ROW EXECUTE FUNCTION {self.function}({_text(self.old)}, {_text(self.new)})"
        )
        return (
            function,
            f"COMMENT ON FUNCTION {self.function}() IS {_text(comment)}",
            trigger,
        )

    def unmirror(self) -> tuple[str, ...]:
        """Return the statements that drop it."""
        return (
            f"DROP TRIGGER {quoted(self.trigger)} ON {self.sql}",
            f"DROP FUNCTION {self.function}()",
        )


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


# Who writes one column leaves the other as it was, or says nothing of it. So of an UPDATE the
# column that was changed counts; of an INSERT the new one, if it is given: it has no default until
# the old one goes. What agrees already is left alone: a backfill, and whoever writes both, must not
# have one of them rounded to the other. It sets columns of the row at hand, so nothing fires anew.
_FUNCTION = """\
CREATE FUNCTION {function}() RETURNS trigger
  LANGUAGE plpgsql
  SET search_path = pg_catalog, {path}, pg_temp
AS $pgstead_mirror$
#variable_conflict use_column
DECLARE
  pgstead_old {old_type};
  pgstead_new {new_type};
BEGIN
  IF TG_OP = 'INSERT' AND NEW.{new} IS NULL THEN
    SELECT {to_new} INTO pgstead_new FROM (SELECT NEW.*) AS pgstead_row;
    NEW.{new} := pgstead_new;
  ELSIF TG_OP = 'UPDATE' AND NEW.{new} IS NOT DISTINCT FROM OLD.{new} THEN
    IF NEW.{old} IS DISTINCT FROM OLD.{old} THEN
      SELECT {to_old} INTO pgstead_old FROM (SELECT NEW.*) AS pgstead_row;
      IF NEW.{old} IS DISTINCT FROM pgstead_old THEN
        SELECT {to_new} INTO pgstead_new FROM (SELECT NEW.*) AS pgstead_row;
        NEW.{new} := pgstead_new;
      END IF;
    END IF;
  ELSE
    SELECT {to_new} INTO pgstead_new FROM (SELECT NEW.*) AS pgstead_row;
    IF NEW.{new} IS DISTINCT FROM pgstead_new THEN
      SELECT {to_old} INTO pgstead_old FROM (SELECT NEW.*) AS pgstead_row;
      NEW.{old} := pgstead_old;
    END IF;
  END IF;
  RETURN NEW;
END
$pgstead_mirror$"""
