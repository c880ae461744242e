SELECT n.nspname || '.' || p.proname
         || '(' || pg_get_function_identity_arguments(p.oid) || ')' AS signature,
       r.rolname AS owner, p.prosrc AS source, p.prosecdef AS security_definer,
       coalesce(p.proconfig, '{}') AS settings
FROM pg_catalog.pg_proc AS p
JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_roles AS r ON r.oid = p.proowner
WHERE n.nspname = 'pgstead'
