DO $pgstead_partition$
DECLARE
  home CONSTANT text := {schema};
  plain CONSTANT text := {table};
  aside CONSTANT text := {aside};
  bound CONSTANT text := {bound};
  built CONSTANT text := {built};
  target CONSTANT regclass := format('%I.%I', home, plain);
  parent text := format('%I.%I', home, plain);
  old text := format('%I.%I', home, aside);
  main text := (SELECT k.conname FROM pg_constraint AS k
                WHERE k.conrelid = target AND k.contype = 'p');
  columns text := (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)
                   FROM pg_attribute AS a WHERE a.attrelid = target AND a.attnum > 0
                     AND NOT a.attisdropped AND a.attgenerated = '');
  item record; later text[] := ARRAY[]::text[]; statement text;
BEGIN
  EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', parent);
  FOR item IN SELECT pg_get_triggerdef(t.oid) AS told FROM pg_trigger AS t
              WHERE t.tgrelid = target AND NOT t.tgisinternal
                AND t.tgname NOT LIKE 'pgstead\_audit\_%' LOOP
    later := later || item.told;
  END LOOP;
  FOR item IN SELECT a.privilege_type AS may, a.is_grantable AS further,
                     CASE a.grantee WHEN 0 THEN 'PUBLIC'
                     ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS who
              FROM pg_class AS c CROSS JOIN LATERAL aclexplode(c.relacl) AS a
              WHERE c.oid = target AND a.grantee <> c.relowner LOOP
    later := later || format('GRANT %s ON %s TO %s%s', item.may, parent, item.who,
                             CASE WHEN item.further THEN ' WITH GRANT OPTION' ELSE '' END);
  END LOOP;
  EXECUTE format('ALTER TABLE %s DETACH PARTITION %s', parent, old);
  EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', old, bound);
  EXECUTE format('INSERT INTO %s (%s) SELECT %s FROM %s', old, columns, columns, parent);
  FOR item IN SELECT d.objid::regclass AS sequence, a.attname AS name FROM pg_depend AS d
              JOIN pg_class AS s ON s.oid = d.objid AND s.relkind = 'S'
              JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
              WHERE d.refobjid = target AND d.deptype = 'a' AND d.classid = 'pg_class'::regclass LOOP
    EXECUTE format('ALTER SEQUENCE %s OWNED BY %s.%I', item.sequence, old, item.name);
  END LOOP;
  EXECUTE format('DROP TABLE %s', parent);
  EXECUTE format('ALTER TABLE %s RENAME TO %I', old, plain);
  EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', parent, left(main, 56) || '_before');
  EXECUTE format('ALTER TABLE %s ADD CONSTRAINT %I PRIMARY KEY USING INDEX %I', parent, main, built);
  FOR item IN SELECT c.relname AS name FROM pg_index AS i
              JOIN pg_class AS c ON c.oid = i.indexrelid
              WHERE i.indrelid = parent::regclass AND c.relname LIKE '%\_before' LOOP
    EXECUTE format('ALTER INDEX %I.%I RENAME TO %I', home, item.name, left(item.name, -7));
  END LOOP;
  FOREACH statement IN ARRAY later LOOP
    EXECUTE statement;
  END LOOP;
END
$pgstead_partition$
