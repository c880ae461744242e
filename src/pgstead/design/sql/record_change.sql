DECLARE
    -- arguments of the trigger: names | values, columns of the key, columns that are secret
    kept CONSTANT boolean := TG_ARGV[0] = 'values';
    keys CONSTANT text[] := TG_ARGV[1]::text[];
    secret CONSTANT text[] := TG_ARGV[2]::text[];
    before jsonb;
    after jsonb;
    changed text[];
BEGIN
    IF TG_OP IN ('UPDATE', 'DELETE') THEN
        before := to_jsonb(OLD);
    END IF;
    IF TG_OP IN ('INSERT', 'UPDATE') THEN
        after := to_jsonb(NEW);
    END IF;
    IF TG_OP = 'UPDATE' THEN
        changed := ARRAY(SELECT n.key FROM jsonb_each(after) AS n
                         WHERE n.value IS DISTINCT FROM before -> n.key);
    END IF;
    INSERT INTO pgstead_audit.change (
        role, application, client, tenant, app_user, correlation_id,
        operation, schema_name, table_name, key, columns, before, after
    ) VALUES (
        session_user,
        current_setting('application_name'),
        coalesce(host(inet_client_addr()), 'socket'),
        nullif(current_setting('app.current_tenant_id', true), ''),
        nullif(current_setting('app.current_user_id', true), ''),
        nullif(current_setting('app.correlation_id', true), ''),
        lower(TG_OP),
        TG_TABLE_SCHEMA,
        TG_TABLE_NAME,
        (SELECT jsonb_object_agg(k, coalesce(after, before) -> k) FROM unnest(keys) AS k),
        changed,
        CASE WHEN kept THEN (
            SELECT jsonb_object_agg(b.key, CASE WHEN b.key = ANY (secret) THEN '"***"' ELSE b.value END)
            FROM jsonb_each(before) AS b WHERE changed IS NULL OR b.key = ANY (changed)) END,
        CASE WHEN kept THEN (
            SELECT jsonb_object_agg(a.key, CASE WHEN a.key = ANY (secret) THEN '"***"' ELSE a.value END)
            FROM jsonb_each(after) AS a WHERE changed IS NULL OR a.key = ANY (changed)) END
    );
    RETURN NULL;
END
