-- What is set for this database, and for roles in it; what it is made of; publications.
SELECT 'settings' AS kind, coalesce(pg_get_userbyid(nullif(s.setrole, 0)) || ' in ', '') || 'this database' AS name,
       (SELECT jsonb_object_agg(split_part(c, '=', 1), substr(c, strpos(c, '=') + 1)) FROM unnest(s.setconfig) AS c) AS facets
FROM pg_catalog.pg_db_role_setting AS s
WHERE s.setdatabase = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
UNION ALL
SELECT 'database', 'this database',
       jsonb_build_object('owner', pg_get_userbyid(d.datdba), 'encoding', pg_encoding_to_char(d.encoding),
                          'collation', d.datcollate, 'character type', d.datctype)
FROM pg_catalog.pg_database AS d WHERE d.datname = current_database()
UNION ALL
SELECT 'publication', quote_ident(p.pubname),
       jsonb_build_object('owner', pg_get_userbyid(p.pubowner), 'all tables', p.puballtables,
                          'tables', coalesce((SELECT string_agg(r.prrelid::regclass::text, ', ' ORDER BY r.prrelid::regclass::text COLLATE "C")
                                              FROM pg_catalog.pg_publication_rel AS r WHERE r.prpubid = p.oid), ''))
FROM pg_catalog.pg_publication AS p
