SELECT datname AS name FROM pg_catalog.pg_database WHERE datallowconn
