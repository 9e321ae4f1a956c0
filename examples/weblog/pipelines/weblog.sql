-- An Apache access log (combined format): parsing in SQL, robots, status codes, top pages.
--
-- Each event is one line as the web server wrote it: {"line": "83.149.9.216 - - [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.1\" 200 …"}.
-- A line without a time cannot be placed in a window: it is kept in the topic weblog.invalid, with the reason.
-- Seconds are shuffled in this log, by up to a minute: hence the watermark of 60 seconds.

CREATE TABLE weblog (
  line STRING NOT NULL,
  ts AS TO_TIMESTAMP(REGEXP_EXTRACT(line, '\[([^ \]]+)', 1), 'dd/MMM/yyyy:HH:mm:ss'),
  WATERMARK FOR ts AS ts - INTERVAL '60' SECOND
) WITH ('connector' = 'kafka', 'topic' = 'weblog', 'format' = 'json');

CREATE VIEW requests AS
SELECT ts,
       REGEXP_EXTRACT(line, '^(\S+)', 1)                                   AS ip,
       REGEXP_EXTRACT(line, '"([A-Z]+) ', 1)                               AS verb,
       SPLIT_INDEX(REGEXP_EXTRACT(line, '"[A-Z]+ (\S+)', 1), '?', 0)       AS path,
       CAST(REGEXP_EXTRACT(line, '" ([0-9]{3}) ', 1) AS INT)               AS status,
       TRY_CAST(REGEXP_EXTRACT(line, '" [0-9]{3} ([0-9]+) ', 1) AS BIGINT) AS size_bytes,
       REGEXP_EXTRACT(line, '"([^"]*)"$', 1)                               AS agent
FROM weblog;

CREATE VIEW visits AS
SELECT *, REGEXP(LOWER(agent), 'bot|crawl|spider|slurp|feed|monitor|archiver') AS is_bot
FROM requests;

CREATE MATERIALIZED TABLE requests_by_hour (PRIMARY KEY (window_start) NOT ENFORCED)
COMMENT 'Requests, robots, errors and bytes of each hour' AS
SELECT window_start, window_end,
       COUNT(*)                                   AS requests,
       COUNT(DISTINCT ip)                         AS visitors,
       COUNT(*) FILTER (WHERE is_bot)             AS bot_requests,
       COUNT(*) FILTER (WHERE status >= 400)      AS errors,
       SUM(size_bytes)                            AS size_bytes
FROM TABLE(TUMBLE(TABLE visits, DESCRIPTOR(ts), INTERVAL '1' HOUR))
GROUP BY window_start, window_end;

CREATE MATERIALIZED TABLE status_codes (PRIMARY KEY (status) NOT ENFORCED)
COMMENT 'Requests by status code' AS
SELECT status, COUNT(*) AS requests, COUNT(*) FILTER (WHERE is_bot) AS bot_requests
FROM visits
GROUP BY status;

CREATE MATERIALIZED TABLE top_paths (PRIMARY KEY (path) NOT ENFORCED)
COMMENT 'Pages that people read' AS
SELECT path, COUNT(*) AS requests, COUNT(DISTINCT ip) AS visitors
FROM visits
WHERE NOT is_bot AND status = 200
GROUP BY path;
