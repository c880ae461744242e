DECLARE
    -- arguments of the trigger: names | values, columns of the key, columns that are secret
    kept CONSTANT boolean := TG_ARGV[0] = 'values';
    keys CONSTANT text[] := TG_ARGV[1]::text[];
    secret CONSTANT text[] := TG_ARGV[2]::text[];
    application CONSTANT text := current_setting('application_name');
    client CONSTANT text := coalesce(host(inet_client_addr()), 'socket');
    tenant CONSTANT text := nullif(current_setting('app.current_tenant_id', true), '');
    app_user CONSTANT text := nullif(current_setting('app.current_user_id', true), '');
    correlation CONSTANT text := nullif(current_setting('app.correlation_id', true), '');
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO pgstead_audit.change (
            role, application, client, tenant, app_user, correlation_id,
            operation, schema_name, table_name, key, after
        )
        SELECT session_user, application, client, tenant, app_user, correlation,
               'insert', TG_TABLE_SCHEMA, TG_TABLE_NAME,
               (SELECT jsonb_object_agg(k, r.row -> k) FROM unnest(keys) AS k),
               CASE WHEN kept THEN (
                   SELECT jsonb_object_agg(e.key, CASE WHEN e.key = ANY (secret) THEN '"***"' ELSE e.value END)
                   FROM jsonb_each(r.row) AS e) END
        FROM (SELECT to_jsonb(n) AS row FROM new_rows AS n OFFSET 0) AS r;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO pgstead_audit.change (
            role, application, client, tenant, app_user, correlation_id,
            operation, schema_name, table_name, key, before
        )
        SELECT session_user, application, client, tenant, app_user, correlation,
               'delete', TG_TABLE_SCHEMA, TG_TABLE_NAME,
               (SELECT jsonb_object_agg(k, r.row -> k) FROM unnest(keys) AS k),
               CASE WHEN kept THEN (
                   SELECT jsonb_object_agg(e.key, CASE WHEN e.key = ANY (secret) THEN '"***"' ELSE e.value END)
                   FROM jsonb_each(r.row) AS e) END
        FROM (SELECT to_jsonb(o) AS row FROM old_rows AS o OFFSET 0) AS r;
    ELSE
        -- a key that was changed has no partner: both sides are told, with no names of columns
        INSERT INTO pgstead_audit.change (
            role, application, client, tenant, app_user, correlation_id,
            operation, schema_name, table_name, key, columns, before, after
        )
        SELECT session_user, application, client, tenant, app_user, correlation,
               'update', TG_TABLE_SCHEMA, TG_TABLE_NAME, coalesce(b.key, a.key), c.columns,
               CASE WHEN kept THEN (
                   SELECT jsonb_object_agg(e.key, CASE WHEN e.key = ANY (secret) THEN '"***"' ELSE e.value END)
                   FROM jsonb_each(b.row) AS e WHERE c.columns IS NULL OR e.key = ANY (c.columns)) END,
               CASE WHEN kept THEN (
                   SELECT jsonb_object_agg(e.key, CASE WHEN e.key = ANY (secret) THEN '"***"' ELSE e.value END)
                   FROM jsonb_each(a.row) AS e WHERE c.columns IS NULL OR e.key = ANY (c.columns)) END
        FROM (SELECT r.row, (SELECT jsonb_object_agg(k, r.row -> k) FROM unnest(keys) AS k) AS key
              FROM (SELECT to_jsonb(o) AS row FROM old_rows AS o OFFSET 0) AS r OFFSET 0) AS b
        FULL JOIN (SELECT r.row, (SELECT jsonb_object_agg(k, r.row -> k) FROM unnest(keys) AS k) AS key
              FROM (SELECT to_jsonb(n) AS row FROM new_rows AS n OFFSET 0) AS r OFFSET 0) AS a
            ON a.key = b.key
        CROSS JOIN LATERAL (SELECT CASE WHEN a.row IS NOT NULL AND b.row IS NOT NULL THEN
            ARRAY(SELECT e.key FROM jsonb_each(a.row) AS e
                  WHERE e.value IS DISTINCT FROM b.row -> e.key) END AS columns OFFSET 0) AS c;
    END IF;
    RETURN NULL;
END
