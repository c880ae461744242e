"""Facts as data: what PostgreSQL and PgBouncer know, who owns each setting."""
