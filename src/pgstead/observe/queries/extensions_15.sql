SELECT extname AS name FROM pg_catalog.pg_extension WHERE extname = ANY (%(names)s)
