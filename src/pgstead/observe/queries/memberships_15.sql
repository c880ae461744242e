SELECT r.rolname AS role, m.rolname AS member, a.admin_option AS admin,
       m.rolinherit AS inherit, true AS set
FROM pg_catalog.pg_auth_members AS a
JOIN pg_catalog.pg_roles AS r ON r.oid = a.roleid
JOIN pg_catalog.pg_roles AS m ON m.oid = a.member
WHERE m.rolname = ANY (%(names)s) OR r.rolname = ANY (%(names)s)
