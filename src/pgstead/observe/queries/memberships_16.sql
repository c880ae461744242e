-- 16 keeps INHERIT and SET per membership, and one row per grantor.
SELECT r.rolname AS role, m.rolname AS member, bool_or(a.admin_option) AS admin,
       bool_or(a.inherit_option) AS inherit, bool_or(a.set_option) AS set
FROM pg_catalog.pg_auth_members AS a
JOIN pg_catalog.pg_roles AS r ON r.oid = a.roleid
JOIN pg_catalog.pg_roles AS m ON m.oid = a.member
WHERE m.rolname = ANY (%(names)s) OR r.rolname = ANY (%(names)s)
GROUP BY r.rolname, m.rolname
