"""A backfill as a script: what `alembic upgrade --sql` writes where nobody looks on.

A DO block that commits each batch (so it stands in no transaction), with the same memory of how
far it is; it knows no pauses. The key is looked up when it runs. What it makes of that is put
together at run time, so to the lint there is nothing in it that blocks anybody.
"""

from __future__ import annotations

from pgstead.app.staged.batches import Work

_TAG = "$pgstead_backfill$"
_SIZE = 1000  # rows of a batch

# In the texts below: %1$s columns of the key, %2$s the same descending, %3$s and %4$s what they are
# compared with (https://www.postgresql.org/docs/current/functions-string.html#FUNCTIONS-STRING-FORMAT).
_BLOCK = """\
DO {tag}
DECLARE
  target CONSTANT regclass := '{target}';
  me CONSTANT text := '{name}';
  home CONSTANT text := 'pgstead_migrations';
  keys text; downwards text; behind text; upto text;
  found jsonb; reached jsonb;
BEGIN
  IF row_security_active(target) THEN
    RAISE EXCEPTION 'row-level security may hide rows of % from %', target, current_user;
  END IF;
  SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY k.place),
         string_agg(quote_ident(a.attname) || ' DESC', ', ' ORDER BY k.place),
         string_agg(format('($1 ->> %s)::%s', k.place - 1, a.atttypid::regtype), ', '
                    ORDER BY k.place),
         string_agg(format('($2 ->> %s)::%s', k.place - 1, a.atttypid::regtype), ', '
                    ORDER BY k.place)
  INTO keys, downwards, behind, upto
  FROM pg_index AS i
  CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)
  JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
  WHERE i.indrelid = target AND i.indisprimary AND k.place <= i.indnkeyatts;
  IF keys IS NULL THEN
    RAISE EXCEPTION '% has no primary key', target;
  END IF;
  EXECUTE format('CREATE SCHEMA IF NOT EXISTS %I', home);
  EXECUTE format('CREATE TABLE IF NOT EXISTS %I.scripted (name text PRIMARY KEY, position jsonb)',
                 home);
  EXECUTE format('INSERT INTO %I.scripted VALUES ($1) ON CONFLICT DO NOTHING', home) USING me;
  COMMIT;
  LOOP
    EXECUTE format('SELECT position FROM %I.scripted WHERE name = $1 FOR UPDATE', home)
    INTO found USING me;
    EXECUTE format('SELECT jsonb_build_array(%1$s) FROM (SELECT %1$s FROM {target_in}'
                   ' WHERE $1 IS NULL OR (%1$s) > (%3$s) ORDER BY %1$s LIMIT {size}) AS s'
                   ' ORDER BY %2$s LIMIT 1', keys, downwards, behind) INTO reached USING found;
    EXIT WHEN reached IS NULL;
    EXECUTE format('UPDATE {target_in} SET {sets} WHERE ($1 IS NULL OR (%1$s) > (%3$s))'
                   ' AND (%1$s) <= (%4$s){only}', keys, downwards, behind, upto)
    USING found, reached;
    EXECUTE format('UPDATE %I.scripted SET position = $2 WHERE name = $1', home)
    USING me, reached;
    COMMIT;
    reached := NULL;
  END LOOP;
  EXECUTE format('DELETE FROM %I.scripted WHERE name = $1', home) USING me;
END
{tag}"""


def block(work: Work, target: str) -> str:
    """Return the statement; `target` is the table as a statement may hold it."""
    return _BLOCK.format(
        tag=_TAG,
        target=_doubled(target),
        name=_doubled(work.name),
        size=_SIZE,
        target_in=_nested(target),
        sets=_nested(work.sets),
        only=_nested(work.filter),
    )


def _doubled(text: str) -> str:
    """Return a text as it stands between quotes."""
    return text.replace("'", "''")


def _nested(text: str) -> str:
    """Return SQL as it stands between quotes in what format() is given."""
    return _doubled(text).replace("%", "%%")
