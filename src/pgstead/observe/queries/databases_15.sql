SELECT d.datname AS name, r.rolname AS owner, pg_encoding_to_char(d.encoding) AS encoding,
       d.datlocprovider::text AS provider, d.datcollate AS libc_locale,
       d.daticulocale AS other_locale,
       d.datconnlimit AS connection_limit, d.datallowconn AS allow_connections
FROM pg_catalog.pg_database AS d
JOIN pg_catalog.pg_roles AS r ON r.oid = d.datdba
WHERE d.datname = ANY (%(names)s)
