"""Locks, rewrites, columns, constraints, indexes."""

from __future__ import annotations

from tests.unit.lint.corpus.case import Case, outside

OWN = "CREATE TABLE fresh (id bigint PRIMARY KEY, name text)"

LOCKS = (
    Case(
        "lock-table",
        ("LOCK TABLE account IN ACCESS EXCLUSIVE MODE",),
        ("LOCK TABLE account IN ROW EXCLUSIVE MODE",),
    ),
    Case("vacuum-full", (outside("VACUUM FULL account"),), (outside("VACUUM (ANALYZE) account"),)),
    Case(
        "cluster", ("CLUSTER account USING account_pkey",), (OWN, "CLUSTER fresh USING fresh_pkey")
    ),
    Case("truncate", ("TRUNCATE account",), (OWN, "TRUNCATE fresh")),
    Case("truncate", ("TRUNCATE account CASCADE",), (OWN, "INSERT INTO fresh VALUES (1)")),
    Case(
        "refresh-not-concurrent",
        ("REFRESH MATERIALIZED VIEW mv",),
        (outside("REFRESH MATERIALIZED VIEW CONCURRENTLY mv"),),
        before=("CREATE MATERIALIZED VIEW mv AS SELECT id FROM account",),
    ),
    Case(
        "trigger-on-table-in-use",
        ("CREATE TRIGGER t BEFORE UPDATE ON account FOR EACH ROW EXECUTE FUNCTION f()",),
        (OWN, "CREATE TRIGGER t BEFORE UPDATE ON fresh FOR EACH ROW EXECUTE FUNCTION f()"),
    ),
    Case(
        "several-tables-in-one-transaction",
        (
            'op.add_column("account", sa.Column("extra", sa.Text()))',
            'op.add_column("invoice", sa.Column("extra", sa.Text()))',
        ),
        (
            'op.add_column("account", sa.Column("extra", sa.Text()))',
            'op.add_column("account", sa.Column("more", sa.Text()))',
        ),
    ),
    Case(
        "several-foreign-keys-in-one-transaction",
        (
            (
                "ALTER TABLE invoice ADD CONSTRAINT a FOREIGN KEY (account_id) REFERENCES account"
                " NOT VALID"
            ),
            "ALTER TABLE invoice ADD CONSTRAINT b FOREIGN KEY (id) REFERENCES account NOT VALID",
        ),
        (
            (
                "ALTER TABLE invoice ADD CONSTRAINT a FOREIGN KEY (account_id) REFERENCES account"
                " NOT VALID"
            ),
        ),
    ),
)

REWRITES = (
    Case(
        "type-change",
        ('op.alter_column("account", "bar", type_=sa.BigInteger())',),
        ('op.alter_column("account", "name", type_=sa.String(80))',),
    ),
    Case(
        "type-change",
        ('op.alter_column("account", "name", type_=sa.String(20))',),
        ('op.alter_column("account", "name", type_=sa.Text())',),
    ),
    Case(
        "type-change",
        ("ALTER TABLE account ALTER COLUMN amount TYPE numeric(12,4)",),
        ("ALTER TABLE account ALTER COLUMN amount TYPE numeric(14,2)",),
    ),
    Case(
        "type-change-under-asyncpg",
        ("ALTER TABLE account ALTER COLUMN note TYPE jsonb USING note::jsonb",),
        ("ALTER TABLE account ALTER COLUMN note TYPE varchar",),
    ),
    Case(
        "generated-expression-change",
        ("ALTER TABLE account ALTER COLUMN twice SET EXPRESSION AS (bar * 3)",),
        ("ALTER TABLE account ALTER COLUMN note SET DEFAULT 'x'",),
        before=("ALTER TABLE account ADD COLUMN twice int GENERATED ALWAYS AS (bar * 2) STORED",),
    ),
    Case(
        "move-to-tablespace",
        ("ALTER TABLE account SET TABLESPACE fast",),
        ("ALTER TABLE account SET (fillfactor = 90)",),
    ),
    Case("set-logged", ("ALTER TABLE account SET LOGGED",), (OWN, "ALTER TABLE fresh SET LOGGED")),
    Case(
        "unlogged-table",
        ("CREATE UNLOGGED TABLE fresh (id bigint PRIMARY KEY)",),
        ("CREATE TABLE fresh (id bigint PRIMARY KEY)",),
    ),
    Case(
        "access-method-change",
        ("ALTER TABLE account SET ACCESS METHOD columnar",),
        ("ALTER TABLE account ALTER COLUMN note SET STATISTICS 500",),
    ),
)

COLUMNS = (
    Case(
        "required-column-without-default",
        ('op.add_column("account", sa.Column("extra", sa.Integer(), nullable=False))',),
        (
            (
                'op.add_column("account", sa.Column("extra", sa.DateTime(timezone=True),'
                ' nullable=False, server_default=sa.text("now()")))'
            ),
        ),
    ),
    Case(
        "volatile-default",
        (
            (
                'op.add_column("account", sa.Column("extra", sa.Uuid(),'
                ' server_default=sa.text("uuidv7()")))'
            ),
        ),
        ('op.add_column("account", sa.Column("extra", sa.Uuid()))',),
    ),
    Case(
        "volatile-default",
        ("ALTER TABLE account ADD COLUMN extra uuid DEFAULT gen_random_uuid()",),
        ("ALTER TABLE account ALTER COLUMN note SET DEFAULT gen_random_uuid()::text",),
    ),
    Case(
        "numbered-column",
        ("ALTER TABLE account ADD COLUMN number bigserial",),
        ("ALTER TABLE account ADD COLUMN number bigint",),
    ),
    Case(
        "numbered-column",
        ("ALTER TABLE account ADD COLUMN number bigint GENERATED ALWAYS AS IDENTITY",),
        ("CREATE TABLE fresh (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY)",),
    ),
    Case(
        "stored-generated-column",
        ('op.add_column("account", sa.Column("twice", sa.Integer(), sa.Computed("bar*2", True)))',),
        (
            (
                'op.add_column("account", sa.Column("twice", sa.Integer(),'
                ' sa.Computed("bar*2", False)))'
            ),
        ),
    ),
    Case(
        "json-column",
        ('op.add_column("account", sa.Column("extra", sa.JSON()))',),
        ('op.add_column("account", sa.Column("extra", postgresql.JSONB()))',),
    ),
)

CONSTRAINTS = (
    Case(
        "set-not-null",
        ('op.alter_column("account", "bar", nullable=False)',),
        ('op.alter_column("account", "note", nullable=False)',),
        before=(  # in stages: an earlier revision has validated a check that says it
            "ALTER TABLE account ADD CONSTRAINT ck CHECK (note IS NOT NULL) NOT VALID",
            "ALTER TABLE account VALIDATE CONSTRAINT ck",
        ),
    ),
    Case(
        "set-not-null",
        ("ALTER TABLE account ADD CONSTRAINT nn NOT NULL bar",),
        ("ALTER TABLE account ADD CONSTRAINT nn NOT NULL bar NOT VALID",),
    ),
    Case(
        "foreign-key-not-in-stages",
        ('op.create_foreign_key("fk", "invoice", "account", ["account_id"], ["id"])',),
        (
            (
                'op.create_foreign_key("fk", "invoice", "account", ["account_id"], ["id"],'
                " postgresql_not_valid=True)"
            ),
        ),
    ),
    Case(
        "foreign-key-not-in-stages",
        ("ALTER TABLE invoice ADD COLUMN o bigint DEFAULT 1 REFERENCES account",),
        (
            "CREATE TABLE fresh (id bigint PRIMARY KEY, a bigint REFERENCES account)",
            "CREATE INDEX ON fresh (a)",
        ),
    ),
    Case(
        "check-not-in-stages",
        ('op.create_check_constraint("ck", "account", "bar > 0")',),
        ('op.create_check_constraint("ck", "account", "bar > 0", postgresql_not_valid=True)',),
    ),
    Case(
        "check-not-in-stages",
        ("ALTER TABLE account ADD CONSTRAINT ck CHECK (bar > 0)",),
        ("ALTER TABLE account VALIDATE CONSTRAINT ck_old",),
        before=("ALTER TABLE account ADD CONSTRAINT ck_old CHECK (bar > 1) NOT VALID",),
    ),
    Case(
        "validated-in-the-same-transaction",
        (
            "ALTER TABLE account ADD CONSTRAINT nn NOT NULL bar NOT VALID",
            "ALTER TABLE account VALIDATE CONSTRAINT nn",
        ),
        ("ALTER TABLE account ADD CONSTRAINT nn NOT NULL bar NOT VALID",),
    ),
    Case(
        "unique-not-by-index",
        ('op.create_unique_constraint("u", "account", ["name"])',),
        ("ALTER TABLE account ADD CONSTRAINT u UNIQUE USING INDEX ux",),
        before=("CREATE UNIQUE INDEX ux ON account (name)",),
    ),
    Case(
        "unique-not-by-index",
        ("ALTER TABLE account ADD PRIMARY KEY (id)",),
        (OWN, "ALTER TABLE fresh ADD CONSTRAINT u UNIQUE (name)"),
    ),
    Case(
        "exclusion-constraint",
        ("ALTER TABLE invoice ADD CONSTRAINT e EXCLUDE USING gist (period WITH &&)",),
        ("CREATE TABLE fresh (id int PRIMARY KEY, p tstzrange, EXCLUDE USING gist (p WITH &&))",),
    ),
)
INDEXES = (
    Case(
        "index-not-concurrent",
        ('op.create_index("ix", "account", ["name"])',),
        (
            outside(
                'op.drop_index("ix", if_exists=True, postgresql_concurrently=True)',
                'op.create_index("ix", "account", ["name"], postgresql_concurrently=True)',
            ),
        ),
    ),
    Case(
        "index-not-concurrent",
        ("CREATE INDEX ix ON account USING gin (to_tsvector('english', note))",),
        (OWN, "CREATE INDEX ix ON fresh (name)"),
    ),
    Case(
        "index-on-partitioned-table",
        ("CREATE INDEX ix ON log (at)",),
        ("CREATE INDEX ix ON ONLY log (at)",),
        before=("CREATE TABLE log (id bigint, at date) PARTITION BY RANGE (at)",),
    ),
    Case(
        "concurrent-index-on-partitioned-table",
        (
            outside(
                "DROP INDEX CONCURRENTLY IF EXISTS ix", "CREATE INDEX CONCURRENTLY ix ON log (at)"
            ),
        ),
        (
            outside(
                "DROP INDEX CONCURRENTLY IF EXISTS ix", "CREATE INDEX CONCURRENTLY ix ON log_1 (at)"
            ),
        ),
        before=(
            "CREATE TABLE log (id bigint, at date) PARTITION BY RANGE (at)",
            "CREATE TABLE log_1 PARTITION OF log DEFAULT",
        ),
    ),
    Case(
        "newer-than-the-server",
        ("ALTER TABLE account ADD CONSTRAINT nn NOT NULL bar NOT VALID",),
        ("ALTER TABLE account ADD CONSTRAINT nn CHECK (bar IS NOT NULL) NOT VALID",),
        major=17,
    ),
    Case(
        "drop-index-not-concurrent",
        ('op.drop_index("ix_invoice_account_id", "invoice")',),
        (
            outside(
                'op.drop_index("ix_invoice_account_id", if_exists=True,'
                " postgresql_concurrently=True)"
            ),
        ),
    ),
    Case(
        "reindex-not-concurrent",
        ("REINDEX TABLE account",),
        (outside("REINDEX TABLE CONCURRENTLY account"),),
    ),
    Case(
        "detach-not-concurrent",
        ("ALTER TABLE log DETACH PARTITION log_1",),
        (outside("ALTER TABLE log DETACH PARTITION log_2 CONCURRENTLY"),),
        before=("CREATE TABLE log (id bigint, at date) PARTITION BY RANGE (at)",),
    ),
    Case(
        "attach-without-check",
        ("ALTER TABLE log ATTACH PARTITION old FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')",),
        ("ALTER TABLE log ATTACH PARTITION good FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')",),
        before=(
            "CREATE TABLE log (id bigint, at date) PARTITION BY RANGE (at)",
            "CREATE TABLE old (id bigint, at date)",
            (
                "CREATE TABLE good (id bigint, at date, CHECK (at >= '2026-01-01' AND at <"
                " '2026-02-01' AND at IS NOT NULL))"
            ),
        ),
    ),
    Case(
        "concurrent-index-if-not-exists",
        (outside("CREATE INDEX CONCURRENTLY IF NOT EXISTS ix ON account (name)"),),
        (
            outside(
                "DROP INDEX CONCURRENTLY IF EXISTS ix",
                "CREATE INDEX CONCURRENTLY IF NOT EXISTS ix ON account (name)",
            ),
        ),
    ),
    Case(
        "wide-index",
        (
            OWN,
            "ALTER TABLE fresh ADD a int, ADD b int, ADD c int",
            "CREATE INDEX ix ON fresh (name, a, b, c)",
        ),
        (
            OWN,
            "ALTER TABLE fresh ADD a int, ADD b int, ADD c int",
            "CREATE INDEX ix ON fresh (name, a, b) INCLUDE (c)",
        ),
    ),
    Case(
        "duplicate-index",
        (
            outside(
                "DROP INDEX CONCURRENTLY IF EXISTS ix2",
                "CREATE INDEX CONCURRENTLY ix2 ON invoice (account_id)",
            ),
        ),
        (
            outside(
                "DROP INDEX CONCURRENTLY IF EXISTS ix2",
                "CREATE INDEX CONCURRENTLY ix2 ON invoice (account_id) WHERE state = 'open'",
            ),
        ),
    ),
    Case(
        "foreign-key-without-index",
        ("CREATE TABLE fresh (id bigint PRIMARY KEY, a bigint REFERENCES account)",),
        (
            "CREATE TABLE fresh (id bigint PRIMARY KEY, a bigint REFERENCES account)",
            "CREATE INDEX ix ON fresh (a)",
        ),
    ),
)
CASES = (*LOCKS, *REWRITES, *COLUMNS, *CONSTRAINTS, *INDEXES)
