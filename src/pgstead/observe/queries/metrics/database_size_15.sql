-- scope: cluster
-- cadence: slow
-- attributes: datname
-- most: 50
-- gauge pg_database_size_bytes By: Size of the database.
-- gauge pg_database_xid_age {transaction}: Transactions since the oldest row that is not frozen.
-- gauge pg_database_mxid_age {transaction}: Multixacts since the oldest that is not frozen.
SELECT datname, pg_database_size(oid) AS pg_database_size_bytes,
       age(datfrozenxid) AS pg_database_xid_age, mxid_age(datminmxid) AS pg_database_mxid_age
FROM pg_database WHERE datallowconn
ORDER BY oid LIMIT 50
