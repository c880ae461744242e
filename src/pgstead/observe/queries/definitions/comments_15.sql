-- Comments of whatever lies in schemas of users.
SELECT 'comment' AS kind, i.type || ' ' || i.identity AS name, jsonb_build_object('text', d.description) AS facets
FROM pg_catalog.pg_description AS d
CROSS JOIN LATERAL pg_identify_object(d.classoid, d.objoid, d.objsubid) AS i
WHERE d.objoid >= 16384
  AND coalesce(i.schema, '') !~ '^pg_' AND coalesce(i.schema, '') <> 'information_schema'
  AND i.type <> 'extension'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS e
                  WHERE e.classid = d.classoid AND e.objid = d.objoid AND e.deptype = 'e')
