-- Triggers, event triggers and rules, and whether they fire.
SELECT 'trigger' AS kind,
       quote_ident(n.nspname) || '.' || quote_ident(c.relname) || '.' || quote_ident(t.tgname) AS name,
       jsonb_build_object('definition', pg_get_triggerdef(t.oid), 'fires', f.says) AS facets
FROM pg_catalog.pg_trigger AS t
JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (SELECT CASE t.tgenabled WHEN 'O' THEN 'yes' WHEN 'D' THEN 'no' WHEN 'R' THEN 'on replicas'
                                            ELSE 'always' END AS says) AS f
WHERE NOT t.tgisinternal AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
UNION ALL
-- the triggers behind foreign keys: ALTER TABLE ... DISABLE TRIGGER ALL silences them as well
SELECT 'foreign key triggers', quote_ident(n.nspname) || '.' || quote_ident(c.relname),
       jsonb_build_object('fire', bool_and(t.tgenabled = 'O'))
FROM pg_catalog.pg_trigger AS t
JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE t.tgisinternal AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
GROUP BY 2
UNION ALL
SELECT 'event trigger', quote_ident(e.evtname),
       jsonb_build_object('event', e.evtevent, 'function', e.evtfoid::regprocedure::text,
                          'tags', coalesce(array_to_string(e.evttags, ', '), ''), 'owner', r.rolname,
                          'fires', CASE e.evtenabled WHEN 'O' THEN 'yes' WHEN 'D' THEN 'no'
                                                     WHEN 'R' THEN 'on replicas' ELSE 'always' END)
FROM pg_catalog.pg_event_trigger AS e
JOIN pg_catalog.pg_roles AS r ON r.oid = e.evtowner
UNION ALL
SELECT 'rule', quote_ident(n.nspname) || '.' || quote_ident(c.relname) || '.' || quote_ident(w.rulename),
       jsonb_build_object('definition', pg_get_ruledef(w.oid), 'fires', w.ev_enabled = 'O')
FROM pg_catalog.pg_rewrite AS w
JOIN pg_catalog.pg_class AS c ON c.oid = w.ev_class
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE w.rulename <> '_RETURN' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
