-- Edits of Wikipedia on 12 September 2015: three topics in, live tables out.
--
-- The replay posts each edit to the topic of its kind. A topic's columns are checked at the door; unknown fields are kept.

CREATE TABLE wiki_edits (
  `time`          TIMESTAMP(3) NOT NULL,
  channel         STRING NOT NULL,
  page            STRING NOT NULL,
  `user`          STRING NOT NULL,
  namespace       STRING,
  isAnonymous     BOOLEAN,
  isMinor         BOOLEAN,
  isNew           BOOLEAN,
  isRobot         BOOLEAN,
  isUnpatrolled   BOOLEAN,
  countryIsoCode  STRING,
  countryName     STRING,
  cityName        STRING,
  delta           BIGINT,
  added           BIGINT,
  deleted         BIGINT,
  WATERMARK FOR `time` AS `time` - INTERVAL '10' SECOND
) COMMENT 'Edits of existing pages by people' WITH (
  'connector' = 'kafka',
  'topic' = 'wiki_edits',
  'format' = 'json',
  'key.format' = 'raw',
  'key.fields' = 'user',
  'scan.startup.mode' = 'earliest-offset'
);

CREATE TABLE wiki_robot_edits WITH ('topic' = 'wiki_robot_edits')
LIKE wiki_edits (OVERWRITING OPTIONS INCLUDING ALL);

CREATE TABLE wiki_new_pages WITH ('topic' = 'wiki_new_pages')
LIKE wiki_edits (OVERWRITING OPTIONS INCLUDING ALL);

CREATE VIEW edits AS
          SELECT * FROM wiki_edits
UNION ALL SELECT * FROM wiki_robot_edits
UNION ALL SELECT * FROM wiki_new_pages;

-- Five minutes of each channel, by event time: a row appears when its window closes.
CREATE MATERIALIZED TABLE channel_5min (PRIMARY KEY (window_start, channel) NOT ENFORCED)
COMMENT 'Five-minute windows by channel'
FRESHNESS = INTERVAL '1' SECOND AS
SELECT window_start, window_end, channel,
       COUNT(*)                           AS edits,
       COUNT(DISTINCT `user`)             AS editors,
       SUM(added)                         AS added,
       SUM(deleted)                       AS deleted,
       COUNT(*) FILTER (WHERE isRobot)    AS robot_edits
FROM TABLE(TUMBLE(TABLE edits, DESCRIPTOR(`time`), INTERVAL '5' MINUTES))
GROUP BY window_start, window_end, channel;

-- Robots against people, and how much nobody has looked at yet.
CREATE MATERIALIZED TABLE totals_5min (PRIMARY KEY (window_start) NOT ENFORCED)
COMMENT 'Five-minute windows over all channels: robots against people, share of unpatrolled edits'
FRESHNESS = INTERVAL '1' SECOND AS
SELECT window_start, window_end,
       COUNT(*)                                                              AS edits,
       COUNT(*) FILTER (WHERE isRobot)                                       AS robots,
       COUNT(*) FILTER (WHERE NOT isRobot)                                   AS humans,
       COUNT(*) FILTER (WHERE isAnonymous)                                   AS anonymous,
       COUNT(*) FILTER (WHERE isUnpatrolled)                                 AS unpatrolled,
       CAST(COUNT(*) FILTER (WHERE isUnpatrolled) AS DOUBLE) / COUNT(*)      AS unpatrolled_share,
       SUM(added)                                                            AS added,
       SUM(deleted)                                                          AS deleted,
       COUNT(*) FILTER (WHERE isNew)                                         AS new_pages
FROM TABLE(TUMBLE(TABLE edits, DESCRIPTOR(`time`), INTERVAL '5' MINUTES))
GROUP BY window_start, window_end;

-- One user at work: edits less than 30 minutes apart.
CREATE MATERIALIZED TABLE user_sessions (PRIMARY KEY (`user`, session_start) NOT ENFORCED)
COMMENT 'Sessions by user: edits less than 30 minutes apart; a session appears when it has ended'
FRESHNESS = INTERVAL '1' SECOND AS
SELECT `user`,
       window_start         AS session_start,
       window_end           AS session_end,
       COUNT(*)             AS edits,
       COUNT(DISTINCT page) AS pages,
       SUM(delta)           AS delta
FROM TABLE(SESSION(TABLE edits PARTITION BY `user`, DESCRIPTOR(`time`), INTERVAL '30' MINUTES))
GROUP BY `user`, window_start, window_end;

-- Changes with every edit.
CREATE MATERIALIZED TABLE top_pages (PRIMARY KEY (channel, page) NOT ENFORCED)
COMMENT 'Edits of each page since the replay began'
FRESHNESS = INTERVAL '1' SECOND AS
SELECT channel, page,
       COUNT(*)               AS edits,
       COUNT(DISTINCT `user`) AS editors,
       SUM(delta)             AS delta
FROM edits
GROUP BY channel, page;

-- Where anonymous edits come from; others have no country.
CREATE MATERIALIZED TABLE country_edits (PRIMARY KEY (country_code) NOT ENFORCED)
COMMENT 'Anonymous edits by country since the replay began'
FRESHNESS = INTERVAL '1' SECOND AS
SELECT countryIsoCode   AS country_code,
       MAX(countryName) AS country,
       COUNT(*)         AS edits,
       SUM(added)       AS added,
       MAX(`time`)      AS last_edit
FROM edits
WHERE countryIsoCode IS NOT NULL
GROUP BY countryIsoCode;
