"""Compatibility, rows, transactions, security, the way back."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.lint.corpus.case import DOCUMENT, Case, outside

OWN = "CREATE TABLE fresh (id bigint PRIMARY KEY, name text)"
SECURED = (
    "ALTER TABLE fresh ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE fresh FORCE ROW LEVEL SECURITY",
    "CREATE POLICY rows ON fresh TO shop_app USING (tenant_id = current_setting('app.tenant'))",
)
TENANTS = (
    "CREATE TABLE fresh (id uuid PRIMARY KEY, tenant_id text NOT NULL, email text, other uuid)"
)
LED = "CREATE INDEX ix ON fresh (tenant_id, id)"

COMPATIBILITY = (
    Case(
        "drop-column",
        ('op.drop_column("account", "note")',),
        (OWN, 'op.drop_column("fresh", "name")'),
    ),
    Case(
        "drop-column-still-mapped",
        ('op.drop_column("account", "note")',),
        ('op.drop_column("account", "name")',),
        mapped={"account": frozenset({"id", "note"})},
        near_has=frozenset({"drop-column"}),
    ),
    Case("drop-table", ('op.drop_table("invoice")',), (OWN, 'op.drop_table("fresh")')),
    Case(
        "drop-table-still-mapped",
        ('op.drop_table("account")',),
        ('op.drop_table("invoice")',),
        mapped={"account": frozenset({"id"})},
        near_has=frozenset({"drop-table"}),
    ),
    Case("drop-schema", ("DROP SCHEMA old",), ("CREATE SCHEMA new",)),
    Case(
        "drop-cascade",
        ("DROP TABLE invoice CASCADE",),
        ("DROP TABLE invoice RESTRICT",),
        near_has=frozenset({"drop-table"}),
    ),
    Case(
        "rename-column",
        ('op.alter_column("account", "note", new_column_name="remark")',),
        (OWN, 'op.alter_column("fresh", "name", new_column_name="title")'),
    ),
    Case(
        "rename-table",
        ('op.rename_table("account", "customer")',),
        (
            'op.rename_table("account", "customer")',
            "CREATE VIEW account WITH (security_invoker = true) AS SELECT * FROM customer",
        ),
    ),
    Case(
        "rename-enum-value",
        ("ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'",),
        ("ALTER TYPE mood ADD VALUE 'blue' AFTER 'sad'",),
    ),
    Case(
        "drop-not-null",
        ('op.alter_column("account", "email", nullable=True)',),
        (OWN, "ALTER TABLE fresh ALTER COLUMN name DROP NOT NULL"),
    ),
    Case(
        "drop-constraint",
        ('op.drop_constraint("ck", "account")',),
        ("ALTER TABLE account DROP CONSTRAINT ck, ADD CONSTRAINT ck CHECK (bar > -1) NOT VALID",),
        before=("ALTER TABLE account ADD CONSTRAINT ck CHECK (bar > 0)",),
    ),
)

ROWS = (
    Case(
        "update-not-in-batches",
        ("UPDATE account SET bar = 1",),
        ("UPDATE account SET bar = 1 WHERE id = 7",),
    ),
    Case(
        "update-not-in-batches",
        ("UPDATE account SET bar = 1 WHERE bar IS NULL",),
        (OWN, "UPDATE fresh SET name = 'x'"),
    ),
    Case(
        "delete-not-in-batches",
        ("DELETE FROM account WHERE bar < 3",),
        ("DELETE FROM account WHERE id IN (1, 2)",),
    ),
    Case(
        "delete-without-where",
        ("DELETE FROM account",),
        ("DELETE FROM account WHERE id = 1",),
    ),
    Case(
        "triggers-disabled",
        ("ALTER TABLE account DISABLE TRIGGER ALL",),
        (
            "ALTER TABLE account DISABLE TRIGGER audit",
            "UPDATE account SET bar = 1 WHERE id = 1",
            "ALTER TABLE account ENABLE TRIGGER audit",
        ),
    ),
    Case(
        "replication-role",
        ("SET LOCAL session_replication_role = replica",),
        ("SET LOCAL work_mem = '64MB'",),
    ),
)

TRANSACTIONS = (
    Case(
        "not-in-a-transaction",
        ('op.create_index("ix", "account", ["name"], postgresql_concurrently=True)',),
        (
            outside(
                "DROP INDEX CONCURRENTLY IF EXISTS ix",
                "CREATE INDEX CONCURRENTLY ix ON account (name)",
            ),
        ),
    ),
    Case(
        "not-in-a-transaction",
        ("DROP INDEX CONCURRENTLY ix_invoice_account_id",),
        (outside("DROP INDEX CONCURRENTLY IF EXISTS ix_invoice_account_id"),),
    ),
    Case(
        "not-in-a-transaction",
        ("REINDEX INDEX CONCURRENTLY ix_invoice_account_id",),
        (outside("REINDEX INDEX CONCURRENTLY ix_invoice_account_id"),),
    ),
    Case(
        "not-in-a-transaction",
        ("ALTER TABLE log DETACH PARTITION log_1 CONCURRENTLY",),
        ("ANALYZE account",),
    ),
    Case(
        "autocommit-not-alone",
        (
            'op.add_column("account", sa.Column("z", sa.Text()))',
            outside(
                "DROP INDEX CONCURRENTLY IF EXISTS ix",
                "CREATE INDEX CONCURRENTLY ix ON account (z)",
            ),
        ),
        (
            outside(
                "DROP INDEX CONCURRENTLY IF EXISTS ix",
                "CREATE INDEX CONCURRENTLY ix ON account (name)",
            ),
        ),
    ),
    Case(
        "autocommit-not-repeatable",
        (outside("CREATE INDEX CONCURRENTLY ix ON account (name)"),),
        (
            outside(
                "DROP INDEX CONCURRENTLY IF EXISTS ix",
                "CREATE INDEX CONCURRENTLY ix ON account (name)",
            ),
        ),
    ),
    Case(
        "autocommit-not-repeatable",
        (outside("ALTER TYPE mood ADD VALUE 'blue' AFTER 'sad'"),),
        (outside("ALTER TYPE mood ADD VALUE IF NOT EXISTS 'blue' AFTER 'sad'"),),
    ),
    Case(
        "enum-value-used-at-once",
        (
            "ALTER TYPE mood ADD VALUE 'blue' AFTER 'sad'",
            "UPDATE account SET note = 'blue'::mood::text WHERE id = 1",
        ),
        (
            "ALTER TYPE mood ADD VALUE 'blue' AFTER 'sad'",
            "UPDATE account SET note = 'ok'::mood::text WHERE id = 1",
        ),
    ),
    Case(
        "enum-value-without-position",
        ("ALTER TYPE mood ADD VALUE 'blue'",),
        ("ALTER TYPE mood ADD VALUE 'blue' AFTER 'sad'",),
    ),
    Case("transaction-control", ("COMMIT",), ("SAVEPOINT before",)),
    Case(
        "session-setting",
        ("SET statement_timeout = 0",),
        ("SET LOCAL maintenance_work_mem = '1GB'",),
    ),
    Case("syntax-error", ("ALTER TABEL account ADD x int",), ("SELECT 1",)),
    Case(
        "not-writable-offline",
        ("op.get_bind().execute(sa.text('SELECT 1')).scalar()",),
        ("SELECT count(*) FROM account",),
    ),
)

_SECURITY = (
    Case(
        "row-security-disabled",
        ("ALTER TABLE document DISABLE ROW LEVEL SECURITY",),
        ("ALTER TABLE document ENABLE ROW LEVEL SECURITY",),
    ),
    Case(
        "row-security-not-forced",
        ("ALTER TABLE document NO FORCE ROW LEVEL SECURITY",),
        (
            "ALTER TABLE document NO FORCE ROW LEVEL SECURITY",
            "UPDATE document SET title = 'x' WHERE id = '00000000-0000-0000-0000-000000000000'",
            "ALTER TABLE document FORCE ROW LEVEL SECURITY",
        ),
    ),
    Case(
        "policy-dropped",
        ("DROP POLICY rows ON document",),
        (
            "DROP POLICY rows ON document",
            "CREATE POLICY rows ON document TO shop_app USING (tenant_id = 'a')",
        ),
    ),
    Case(
        "policy-true",
        ("CREATE POLICY p ON document TO shop_app USING (true)",),
        ("CREATE POLICY p ON document TO shop_admin USING (true)",),
    ),
    Case(
        "policy-true",
        ("ALTER POLICY rows ON document USING (1 = 1)",),
        ("CREATE POLICY p ON document AS RESTRICTIVE TO shop_app USING (true)",),
    ),
    Case(
        "policy-to-public",
        ("CREATE POLICY p ON document USING (tenant_id = 'a')",),
        ("CREATE POLICY p ON document TO shop_app USING (tenant_id = 'a')",),
    ),
    Case("tenant-table-without-policy", (TENANTS, LED), (TENANTS, LED, *SECURED)),
    Case("tenant-table-without-index", (TENANTS, *SECURED), (TENANTS, *SECURED, LED)),
    Case(
        "table-without-row-security",
        (OWN,),
        (TENANTS, *SECURED, LED),
    ),
    Case(
        "row-security-without-policy",
        (TENANTS, *SECURED[:2], LED),
        (TENANTS, *SECURED, LED),
    ),
    Case(
        "unique-across-tenants",
        (TENANTS, *SECURED, LED, "ALTER TABLE fresh ADD CONSTRAINT u UNIQUE (email)"),
        (TENANTS, *SECURED, LED, "ALTER TABLE fresh ADD CONSTRAINT u UNIQUE (tenant_id, email)"),
    ),
    Case(
        "foreign-key-across-tenants",
        (
            TENANTS,
            *SECURED,
            LED,
            "ALTER TABLE fresh ADD CONSTRAINT f FOREIGN KEY (other) REFERENCES document (id)",
            "CREATE INDEX ix_other ON fresh (other)",
        ),
        (
            TENANTS,
            *SECURED,
            LED,
            (
                "ALTER TABLE fresh ADD CONSTRAINT f FOREIGN KEY (tenant_id, other)"
                " REFERENCES document (tenant_id, id)"
            ),
            "CREATE INDEX ix_other ON fresh (tenant_id, other)",
        ),
    ),
    Case(
        "grant-to-public",
        ("GRANT SELECT ON account TO PUBLIC",),
        ("REVOKE ALL ON account FROM PUBLIC",),
    ),
    Case(
        "grant-to-public",
        ("ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO PUBLIC",),
        ("ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO shop_readonly",),
    ),
    Case(
        "grant-past-row-security",
        ("GRANT TRUNCATE ON account TO shop_app",),
        ("GRANT SELECT, INSERT ON account TO shop_app",),
    ),
    Case(
        "grant-past-row-security",
        ("GRANT ALL ON account TO shop_app",),
        ("GRANT ALL ON account TO shop_admin",),
    ),
    Case(
        "grant-option",
        ("GRANT SELECT ON account TO shop_app WITH GRANT OPTION",),
        ("GRANT SELECT ON account TO shop_app",),
    ),
    Case(
        "role-past-row-security",
        ("ALTER ROLE shop_app BYPASSRLS",),
        ("ALTER ROLE shop_app NOBYPASSRLS",),
    ),
    Case(
        "owner-change",
        ("ALTER TABLE account OWNER TO shop_app",),
        ("COMMENT ON TABLE account IS 'people who pay'",),
    ),
    Case(
        "definer-without-search-path",
        ("CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",),
    ),
    Case(
        "definer-with-open-search-path",
        (
            (
                "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER"
                " SET search_path = public AS 'SELECT 1'"
            ),
        ),
        (
            (
                "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER"
                " SET search_path = public, pg_temp AS 'SELECT 1'"
            ),
        ),
    ),
    Case(
        "definer-for-everybody",
        (
            (
                "CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER"
                " SET search_path = public, pg_temp AS 'SELECT 1'"
            ),
        ),
        (
            (
                "CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER"
                " SET search_path = public, pg_temp AS 'SELECT 1'"
            ),
            "REVOKE EXECUTE ON FUNCTION f() FROM PUBLIC",
        ),
    ),
    Case(
        "view-without-security-invoker",
        ("CREATE VIEW v AS SELECT title FROM document",),
        ("CREATE VIEW v WITH (security_invoker = true) AS SELECT title FROM document",),
    ),
    Case(
        "security-invoker-off",
        ("ALTER VIEW v SET (security_invoker = false)",),
        ("ALTER VIEW v SET (security_barrier = true)",),
        before=("CREATE VIEW v WITH (security_invoker = true) AS SELECT title FROM document",),
    ),
    Case(
        "materialized-view-over-secured-table",
        ("CREATE MATERIALIZED VIEW v AS SELECT title FROM document",),
        ("CREATE MATERIALIZED VIEW v AS SELECT name FROM account",),
    ),
)

SECURITY = tuple(replace(case, before=(*DOCUMENT, *case.before)) for case in _SECURITY)

COLUMN = ('op.add_column("account", sa.Column("z", sa.Text()))',)
BACK = 'op.drop_column("account", "z")'
WAY_BACK = (
    Case("downgrade-missing", COLUMN, COLUMN, caught_down=None, near_down=BACK),
    Case("downgrade-empty", COLUMN, (), caught_down="pass", near_down="pass"),
    Case("downgrade-raises", COLUMN, COLUMN, caught_down="raise RuntimeError", near_down=BACK),
    Case("downgrade-leaves", COLUMN, COLUMN, caught_down="op.execute('SELECT 1')", near_down=BACK),
    Case(
        "downgrade-drops-extension",
        ("CREATE EXTENSION IF NOT EXISTS pgcrypto",),
        ("CREATE EXTENSION pgcrypto",),
        caught_down='op.execute("DROP EXTENSION pgcrypto")',
        near_down='op.execute("DROP EXTENSION pgcrypto")',
    ),
)
CASES = (*COMPATIBILITY, *ROWS, *TRANSACTIONS, *SECURITY, *WAY_BACK)
