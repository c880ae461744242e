"""The tables of samples.db: written by the agent, read by services, commands and the prover.

Who writes and who reads may not import each other (the application library knows nothing of the
toolbox), so what they agree on is here.
"""

from __future__ import annotations

VERSION = 1  # PRAGMA user_version; a file of another one is set aside
FILE = "samples.db"

TABLES = """
    CREATE TABLE IF NOT EXISTS metric (
        name TEXT PRIMARY KEY,
        kind TEXT NOT NULL,
        unit TEXT NOT NULL,
        description TEXT NOT NULL,
        stale_after REAL NOT NULL  -- seconds
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS series (
        number INTEGER PRIMARY KEY,
        metric TEXT NOT NULL,
        attributes TEXT NOT NULL,  -- JSON, names in order
        at REAL NOT NULL,  -- of the newest sample
        value REAL,
        reason TEXT NOT NULL,
        UNIQUE (metric, attributes)
    ) STRICT;
    CREATE TABLE IF NOT EXISTS sample (
        series INTEGER NOT NULL,
        at REAL NOT NULL,  -- Unix time
        value REAL,  -- NULL: nobody knew
        PRIMARY KEY (series, at)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS verdict (
        name TEXT PRIMARY KEY,
        unit TEXT NOT NULL,
        warning REAL,
        critical REAL,
        falling INTEGER NOT NULL,
        serving INTEGER NOT NULL,
        description TEXT NOT NULL,
        level TEXT NOT NULL,
        since REAL NOT NULL,
        at REAL NOT NULL,
        value REAL,
        reason TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS statement (
        number INTEGER PRIMARY KEY,
        datname TEXT NOT NULL,
        usename TEXT NOT NULL,
        queryid TEXT NOT NULL,
        query TEXT NOT NULL,
        UNIQUE (datname, usename, queryid)
    ) STRICT;
    CREATE TABLE IF NOT EXISTS statement_window (
        statement INTEGER NOT NULL,
        began REAL NOT NULL,
        ended REAL NOT NULL,
        calls REAL NOT NULL,
        seconds REAL NOT NULL,
        rows REAL NOT NULL,
        blocks_read REAL NOT NULL,
        temp_bytes REAL NOT NULL,
        PRIMARY KEY (statement, ended)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS note (
        name TEXT PRIMARY KEY,
        at REAL NOT NULL,  -- when the agent looked last
        body TEXT NOT NULL  -- JSON
    ) STRICT, WITHOUT ROWID;
"""
STATEMENTS = """
    SELECT s.datname, s.usename, s.queryid, s.query, w.began, w.ended,
           w.calls, w.seconds, w.rows, w.blocks_read, w.temp_bytes
    FROM statement_window AS w JOIN statement AS s ON s.number = w.statement
    WHERE w.ended >= ? ORDER BY w.ended, w.seconds DESC
"""
# Since, and how many: what statements took in all, those that took most first.
SPENT = """
    SELECT s.datname, s.usename, s.queryid, substr(s.query, 1, 500), sum(w.calls), sum(w.seconds),
           sum(w.rows)
    FROM statement_window AS w JOIN statement AS s ON s.number = w.statement
    WHERE w.ended >= ? GROUP BY s.number HAVING sum(w.calls) > 0
    ORDER BY sum(w.seconds) DESC LIMIT ?
"""
NEWEST = """
    SELECT m.name, m.kind, m.unit, m.description, s.attributes, s.at, s.value, s.reason,
           m.stale_after
    FROM series AS s JOIN metric AS m ON m.name = s.metric
    ORDER BY m.name, s.attributes
"""
VERDICTS = """
    SELECT name, unit, warning, critical, falling, serving, description, level, since, at,
           value, reason
    FROM verdict ORDER BY name
"""
HISTORY = """
    SELECT s.attributes, h.at, h.value FROM sample AS h JOIN series AS s ON s.number = h.series
    WHERE s.metric = ? AND h.at >= ? ORDER BY s.attributes, h.at
"""
# What the agent has read for services that may not read it themselves.
NOTE = "SELECT at, body FROM note WHERE name = ?"
# Metric, since, since, seconds of a bucket: the mean and the highest of each. A bucket in which
# nobody knew a value is NULL.
GAUGE_BUCKETS = """
    SELECT s.attributes, CAST((h.at - ?3) / ?4 AS INTEGER) AS bucket, avg(h.value), max(h.value)
    FROM sample AS h JOIN series AS s ON s.number = h.series
    WHERE s.metric = ?1 AND h.at >= ?2
    GROUP BY h.series, bucket ORDER BY s.attributes, bucket
"""
# The same of a counter: what it grew by a second. One that fell was reset, and began at zero.
COUNTER_BUCKETS = """
    WITH grown AS (
        SELECT h.series, h.at, h.value, lag(h.value) OVER turn AS before, lag(h.at) OVER turn AS was
        FROM sample AS h JOIN series AS s ON s.number = h.series
        WHERE s.metric = ?1 AND h.at >= ?2 AND h.value IS NOT NULL
        WINDOW turn AS (PARTITION BY h.series ORDER BY h.at)
    )
    SELECT s.attributes, CAST((g.at - ?3) / ?4 AS INTEGER) AS bucket,
           sum(CASE WHEN g.value >= g.before THEN g.value - g.before ELSE g.value END)
               / sum(g.at - g.was),
           max(CASE WHEN g.value >= g.before THEN g.value - g.before ELSE g.value END
               / (g.at - g.was))
    FROM grown AS g JOIN series AS s ON s.number = g.series
    WHERE g.before IS NOT NULL AND g.at > g.was
    GROUP BY g.series, bucket ORDER BY s.attributes, bucket
"""
# Seconds of a slot, since: of each slot how many looks there were, and the share that was good.
SLOTS = """
    SELECT s.metric, CAST(h.at / ?1 AS INTEGER) AS slot, count(h.value), avg(h.value)
    FROM sample AS h JOIN series AS s ON s.number = h.series
    WHERE s.metric IN ('pg_up', 'pgbouncer_up') AND h.at >= ?2 AND h.value IS NOT NULL
    GROUP BY h.series, slot ORDER BY slot
"""
