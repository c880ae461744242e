-- scope: cluster
-- cadence: fast
-- needs: pg_read_all_stats
-- attributes: ssl, version
-- most: 10
-- gauge pg_stat_ssl_connections {connection}: Sessions by TCP, with and without TLS.
SELECT CASE WHEN s.ssl THEN 'on' ELSE 'off' END AS ssl, coalesce(s.version, '') AS version,
       count(*) AS pg_stat_ssl_connections
FROM pg_stat_ssl AS s JOIN pg_stat_activity AS a USING (pid)
WHERE a.client_addr IS NOT NULL
GROUP BY 1, 2
