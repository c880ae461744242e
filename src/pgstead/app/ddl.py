"""Functions and triggers that migrations make.

A published text never changes: a migration that ran must mean the same for ever, so a better
function gets another name here (tests keep the digests).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the schema `public`."""

    signature: str
    statement: str
    comment: str

    def create(self) -> Iterator[str]:
        """Yield the statements that make it."""
        yield self.statement
        yield f"COMMENT ON FUNCTION public.{self.signature} IS '{self.comment}'"

    def drop(self) -> str:
        """Return the statement that drops it."""
        return f"DROP FUNCTION public.{self.signature}"


# One statement for all versions, so that `alembic upgrade --sql` writes it without a server.
UUID_V7 = Function(
    "uuid_v7()",
    r"""
DO $migration$
BEGIN
  IF pg_catalog.current_setting('server_version_num')::pg_catalog.int4 >= 180000 THEN
    EXECUTE $ddl$
      CREATE FUNCTION public.uuid_v7() RETURNS uuid
        LANGUAGE sql VOLATILE PARALLEL SAFE
        RETURN pg_catalog.uuidv7()
    $ddl$;
  ELSE
    -- PARALLEL UNSAFE: the clock of the session is a setting, which no worker may change.
    EXECUTE $ddl$
      CREATE FUNCTION public.uuid_v7() RETURNS uuid
        LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
        SET search_path = pg_catalog, pg_temp
      AS $body$
      DECLARE
        -- 1 ms / 2^12 rounded up: the least step that changes the 12 bits of the fraction
        step CONSTANT bigint := 245;
        seen CONSTANT text := current_setting('pgstead.uuid_v7_clock', true);
        ns bigint := (extract(epoch FROM clock_timestamp()) * 1000000)::bigint * 1000;
        fraction integer;
      BEGIN
        IF seen ~ '^[1-8]?[0-9]{1,18}$' AND seen::bigint + step > ns THEN
          ns := seen::bigint + step;
        END IF;
        PERFORM set_config('pgstead.uuid_v7_clock', ns::text, false);
        fraction := (ns % 1000000) * 4096 / 1000000;
        RETURN encode(
          substring(int8send(ns / 1000000) FROM 3)
          || int2send((28672 + fraction)::smallint)  -- 0x7000: version 7
          || substring(uuid_send(gen_random_uuid()) FROM 9),  -- has the variant in its first bits
          'hex'
        )::uuid;
      END
      $body$
    $ddl$;
  END IF;
END
$migration$
""",
    "a UUID of version 7, greater than every earlier one of the session",
)

# HTML's definition of a valid address with a dot in the domain; 254 is the most that SMTP carries.
IS_VALID_EMAIL = Function(
    "is_valid_email(text)",
    r"""
CREATE FUNCTION public.is_valid_email(address text) RETURNS boolean
  LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
  RETURN length(address) <= 254 AND address ~
    '^[A-Za-z0-9.!#$%&''*+/=?^_`{|}~-]{1,64}@([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$'
""",
    "is it an address with a dot in its domain",
)

# clock_timestamp(), not now(): of two transactions the later writer may have begun first, and
# `updated_at` is the version by which a lost update is found.
TOUCH_UPDATED_AT = Function(
    "touch_updated_at()",
    """
CREATE FUNCTION public.touch_updated_at() RETURNS trigger
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  NEW.updated_at := greatest(clock_timestamp(), OLD.updated_at + interval '1 microsecond');
  RETURN NEW;
END
$$
""",
    "trigger: sets updated_at, strictly increasing",
)

REFUSE_CHANGE = Function(
    "refuse_change()",
    """
CREATE FUNCTION public.refuse_change() RETURNS trigger
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RAISE EXCEPTION '% of % cannot be changed', TG_ARGV[0], TG_TABLE_NAME
    USING ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME,
      COLUMN = TG_ARGV[0], CONSTRAINT = TG_NAME;
END
$$
""",
    "trigger: refuses to change the column that it is given",
)


def touch(table: str) -> str:
    """Return the statement for the trigger that keeps `updated_at` of a table."""
    return (
        f"CREATE TRIGGER {table}_touch_updated_at BEFORE UPDATE ON public.{table}"
        " FOR EACH ROW EXECUTE FUNCTION public.touch_updated_at()"
    )


def protect(table: str, column: str) -> str:
    """Return the statement for the trigger that refuses to change a column."""
    return (
        f"CREATE TRIGGER {table}_{column}_immutable BEFORE UPDATE ON public.{table}"
        f" FOR EACH ROW WHEN (OLD.{column} IS DISTINCT FROM NEW.{column})"
        f" EXECUTE FUNCTION public.refuse_change('{column}')"
    )


def drop_trigger(table: str, name: str) -> str:
    """Return the statement that drops a trigger."""
    return f"DROP TRIGGER {name} ON public.{table}"
