-- The effective default privileges of the managed owners: stored rows, and the built-in ones
-- (EXECUTE on functions for PUBLIC) where nothing is stored for the whole database.
WITH kinds (letter, object_type) AS (
    VALUES ('r', 'tables'), ('S', 'sequences'), ('f', 'functions')
), rows AS (
    SELECT o.rolname AS owner, o.oid AS owner_id, coalesce(n.nspname, '') AS schema,
           k.object_type, d.defaclacl AS acl
    FROM pg_catalog.pg_default_acl AS d
    JOIN pg_catalog.pg_roles AS o ON o.oid = d.defaclrole
    JOIN kinds AS k ON k.letter = d.defaclobjtype::text
    LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = d.defaclnamespace
    WHERE o.rolname = ANY (%(owners)s)
    UNION ALL
    SELECT o.rolname, o.oid, '', k.object_type,
           acldefault(CASE k.letter WHEN 'S' THEN 's' ELSE k.letter END::"char", o.oid)
    FROM pg_catalog.pg_roles AS o
    CROSS JOIN kinds AS k
    WHERE o.rolname = ANY (%(owners)s)
      AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_default_acl AS d
        WHERE d.defaclrole = o.oid AND d.defaclnamespace = 0
          AND d.defaclobjtype::text = k.letter
      )
)
SELECT r.owner, r.schema, r.object_type,
       CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE g.rolname END AS grantee,
       array_agg(a.privilege_type || CASE WHEN a.is_grantable THEN '*' ELSE '' END
                 ORDER BY a.privilege_type) AS privileges
FROM rows AS r
CROSS JOIN LATERAL aclexplode(r.acl) AS a
LEFT JOIN pg_catalog.pg_roles AS g ON g.oid = a.grantee
WHERE a.grantee <> r.owner_id
GROUP BY 1, 2, 3, 4
