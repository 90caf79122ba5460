-- What the view itself must know of the log, apart from what it shows: so every view can be dropped
-- and rebuilt. Each transition that it has taken, with its place: the fingerprint tells a repeated
-- record from one that contradicts what is known.
CREATE TABLE memory (
    order_id      uuid    NOT NULL,
    version       bigint  NOT NULL,
    status        text    NOT NULL,
    fingerprint   uuid    NOT NULL,
    log_partition integer NOT NULL,
    log_offset    bigint  NOT NULL,
    PRIMARY KEY (order_id, version)
);
INSERT INTO memory
SELECT order_id, version, status, fingerprint, log_partition, log_offset FROM timeline;
ALTER TABLE timeline DROP COLUMN fingerprint;

-- How far each partition has been applied: the offset after the last record, whatever it said.
CREATE TABLE positions (
    topic         text    NOT NULL,
    log_partition integer NOT NULL,
    next_offset   bigint  NOT NULL,
    PRIMARY KEY (topic, log_partition)
);
INSERT INTO positions
SELECT topic, log_partition, max(log_offset) + 1 FROM timeline GROUP BY topic, log_partition;

-- The views that there are, by what their tables were made. Later definitions stand with their
-- queries, in the program, and a view whose definition has changed is rebuilt from the log.
CREATE TABLE views (
    name         text PRIMARY KEY,
    -- The digest of the definition by which its tables were made; NULL: it has no tables.
    digest       text,
    -- The digest of the definition by which it shall be rebuilt; NULL: nothing is to be done.
    wanted       text,
    -- The digest by which the tables in its shadow schema were made, and what they have read.
    shadow       text,
    read_records bigint NOT NULL DEFAULT 0,
    left_offsets bigint,
    rate         double precision,
    problem      text,
    rebuilt_at   timestamptz,
    rebuilt_records bigint,
    rebuilt_ms   bigint
);

-- How far a rebuild has read.
CREATE TABLE rebuild_positions (
    view          text    NOT NULL,
    topic         text    NOT NULL,
    log_partition integer NOT NULL,
    next_offset   bigint  NOT NULL,
    PRIMARY KEY (view, topic, log_partition)
);
