DO $pgstead_partition$
DECLARE
  home CONSTANT text := {schema};
  plain CONSTANT text := {table};
  aside CONSTANT text := {aside};
  bound CONSTANT text := {bound};
  built CONSTANT text := {built};
  before CONSTANT text := {before};
  parts CONSTANT jsonb := {parts};
  target CONSTANT regclass := format('%I.%I', home, plain);
  parent text := format('%I.%I', home, plain);
  old text := format('%I.%I', home, aside);
  main text := (SELECT k.conname FROM pg_constraint AS k
                WHERE k.conrelid = target AND k.contype = 'p');
  about record; item record; part jsonb;
  done text[] := ARRAY[]::text[]; later text[] := ARRAY[]::text[]; statement text;
BEGIN
  EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', parent);
  SELECT c.relrowsecurity AS secured, c.relforcerowsecurity AS forced,
         obj_description(c.oid, 'pg_class') AS comment
  INTO about FROM pg_class AS c WHERE c.oid = target;

  -- what goes over to the parent is told as it is, before anything is renamed
  FOR item IN SELECT k.conname AS name, pg_get_constraintdef(k.oid) AS told, k.contype AS kind
              FROM pg_constraint AS k WHERE k.conrelid = target AND k.contype IN ('f', 'u') LOOP
    later := later || format('ALTER TABLE %s ADD CONSTRAINT %I %s', parent, item.name, item.told);
    IF item.kind = 'u' THEN
      done := done || format('ALTER TABLE %s RENAME CONSTRAINT %I TO %I', old, item.name,
                             left(item.name, 56) || '_before');
    END IF;
  END LOOP;
  FOR item IN SELECT c.relname AS name, pg_get_indexdef(i.indexrelid) AS told,
                     obj_description(c.oid, 'pg_class') AS comment
              FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
              WHERE i.indrelid = target AND c.relname <> built
                AND NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = i.indexrelid
                                AND k.contype IN ('p', 'u', 'x')) LOOP
    done := done || format('ALTER INDEX %I.%I RENAME TO %I', home, item.name,
                           left(item.name, 56) || '_before');
    later := later || item.told;
    IF item.comment IS NOT NULL THEN
      later := later || format('COMMENT ON INDEX %I.%I IS %L', home, item.name, item.comment);
    END IF;
  END LOOP;
  FOR item IN SELECT t.tgname AS name, pg_get_triggerdef(t.oid) AS told,
                     t.tgname LIKE 'pgstead\_audit\_%' AS ours
              FROM pg_trigger AS t WHERE t.tgrelid = target AND NOT t.tgisinternal LOOP
    EXECUTE format('DROP TRIGGER %I ON %s', item.name, parent);
    IF NOT item.ours THEN  -- those of the change history `pgstead up` makes again
      later := later || item.told;
    END IF;
  END LOOP;
  FOR item IN
    SELECT format('CREATE POLICY %I ON %s AS %s FOR %s TO %s%s%s', p.polname, parent,
                  CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
                  CASE p.polcmd WHEN '*' THEN 'ALL' WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT'
                                WHEN 'w' THEN 'UPDATE' ELSE 'DELETE' END,
                  (SELECT string_agg(CASE r WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(r))
                                     END, ', ') FROM unnest(p.polroles) AS r),
                  coalesce(' USING (' || pg_get_expr(p.polqual, p.polrelid) || ')', ''),
                  coalesce(' WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')', '')
           ) AS told
    FROM pg_policy AS p WHERE p.polrelid = target LOOP
    later := later || item.told;
  END LOOP;
  FOR item IN SELECT a.privilege_type AS may, a.is_grantable AS further,
                     CASE a.grantee WHEN 0 THEN 'PUBLIC'
                     ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS who
              FROM pg_class AS c CROSS JOIN LATERAL aclexplode(c.relacl) AS a
              WHERE c.oid = target AND a.grantee <> c.relowner LOOP
    later := later || format('GRANT %s ON %s TO %s%s', item.may, parent, item.who,
                             CASE WHEN item.further THEN ' WITH GRANT OPTION' ELSE '' END);
    done := done || format('REVOKE ALL ON %s FROM %s', old, item.who);
  END LOOP;
  FOR item IN SELECT d.objid::regclass AS sequence, a.attname AS name FROM pg_depend AS d
              JOIN pg_class AS s ON s.oid = d.objid AND s.relkind = 'S'
              JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
              WHERE d.refobjid = target AND d.deptype = 'a' AND d.classid = 'pg_class'::regclass LOOP
    -- else it would go with the old partition, when that is dropped one day
    later := later || format('ALTER SEQUENCE %s OWNED BY %s.%I', item.sequence, parent, item.name);
  END LOOP;

  EXECUTE format('ALTER TABLE %s RENAME TO %I', parent, aside);
  FOREACH statement IN ARRAY done LOOP
    EXECUTE statement;
  END LOOP;
  EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', old, main);
  EXECUTE format('ALTER TABLE %s ADD CONSTRAINT %I PRIMARY KEY USING INDEX %I', old,
                 left(main, 56) || '_before', built);
  EXECUTE format('CREATE TABLE %s (LIKE %s INCLUDING ALL EXCLUDING INDEXES EXCLUDING IDENTITY)'
                 ' PARTITION BY RANGE (%I)', parent, old, {column});
  EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', parent, bound);
  FOR item IN SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC'
                     ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS who
              FROM pg_class AS c CROSS JOIN LATERAL aclexplode(c.relacl) AS a
              WHERE c.oid = parent::regclass AND a.grantee <> c.relowner LOOP
    EXECUTE format('REVOKE ALL ON %s FROM %s', parent, item.who);  -- what defaults gave
  END LOOP;
  EXECUTE format('ALTER TABLE %s ADD CONSTRAINT %I PRIMARY KEY (%s)', parent, main, {keys});
  IF about.secured THEN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', parent);
  END IF;
  IF about.forced THEN
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', parent);
  END IF;
  EXECUTE format('COMMENT ON TABLE %s IS %L', parent, about.comment);
  FOREACH statement IN ARRAY later LOOP
    EXECUTE statement;
  END LOOP;
  EXECUTE format('ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (MINVALUE) TO (%L)',
                 parent, old, before);
  FOR part IN SELECT jsonb_array_elements(parts) LOOP
    EXECUTE format('CREATE TABLE %I.%I PARTITION OF %s FOR VALUES FROM (%L) TO (%L)',
                   home, part ->> 0, parent, part ->> 1, part ->> 2);
    FOR item IN SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC'
                       ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS who
                FROM pg_class AS c CROSS JOIN LATERAL aclexplode(c.relacl) AS a
                WHERE c.oid = format('%I.%I', home, part ->> 0)::regclass
                  AND a.grantee <> c.relowner LOOP
      EXECUTE format('REVOKE ALL ON %I.%I FROM %s', home, part ->> 0, item.who);
    END LOOP;
    IF about.secured THEN
      EXECUTE format('ALTER TABLE %I.%I ENABLE ROW LEVEL SECURITY', home, part ->> 0);
    END IF;
  END LOOP;
END
$pgstead_partition$
