-- No row, never a NULL row, for who is unknown, expired or privileged: PgBouncer 1.18 takes a
-- record of NULLs for a configuration error. Names and operators are qualified, whatever the
-- search_path (CVE-2025-12819).
SELECT r.rolname::pg_catalog.text, r.rolpassword
FROM pg_catalog.pg_authid AS r
WHERE r.rolname OPERATOR(pg_catalog.=) $1::pg_catalog.name
  AND r.rolcanlogin
  AND NOT r.rolsuper
  AND NOT r.rolreplication
  AND r.rolname OPERATOR(pg_catalog.<>) 'pgstead_pooler'::pg_catalog.name
  AND r.rolpassword OPERATOR(pg_catalog.~~) 'SCRAM-SHA-256$%'
  AND (r.rolvaliduntil IS NULL OR r.rolvaliduntil OPERATOR(pg_catalog.>) pg_catalog.now())
