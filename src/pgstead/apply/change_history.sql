-- The change history: append-only for everybody but the superuser, who comes by the 0700 socket
-- alone. Nobody has a privilege on it; the trigger's function writes as its owner.
CREATE TABLE IF NOT EXISTS pgstead_audit.change (
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    id bigint GENERATED ALWAYS AS IDENTITY,
    transaction xid8 NOT NULL DEFAULT pg_current_xact_id(),
    pid integer NOT NULL DEFAULT pg_backend_pid(),
    role text NOT NULL,
    application text NOT NULL,
    client text NOT NULL,
    tenant text,
    app_user text,
    correlation_id text,
    operation text NOT NULL,
    schema_name text NOT NULL,
    table_name text NOT NULL,
    key jsonb,
    columns text[],
    before jsonb,
    after jsonb
) PARTITION BY RANGE (at);
-- where nobody made a partition in time, a write of the application must not fail for it
CREATE TABLE IF NOT EXISTS pgstead_audit.change_else PARTITION OF pgstead_audit.change DEFAULT;
-- sealing and reading go by it; both grow at its right end only
CREATE INDEX IF NOT EXISTS change_transaction ON pgstead_audit.change (transaction, id);
CREATE INDEX IF NOT EXISTS change_at ON pgstead_audit.change USING brin (at);
COMMENT ON SCHEMA pgstead_audit IS 'who changed which row (pgstead audit query); no application''s';
