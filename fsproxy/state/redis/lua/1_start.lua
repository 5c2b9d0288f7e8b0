-- The ledger in Redis or Valkey (rules.md 5). The files of this folder are one script, in the order of their names.
--
-- One call of the script carries out what one org's requests of one tick of the proxy's event loop ask.
--
-- KEYS[1]  the base of all keys of that org, "<prefix><version>:{<org>}:". Every other key is made from it, so all of
--          them lie in its slot. No key is the base itself: a node of a Cluster that hands the slot over must not find
--          it, or it would carry out calls whose other keys have gone (state/redis/connections/slot_moves.py).
-- ARGV[1]  msgpack: the requests, [[now, [operation, ...]], ...]. An operation is [name, argument, ...]; the functions
--          `operations.<name>` document them. `now` is false, or in tests the time to use instead of the server's.
-- ARGV[2]  msgpack: the constants below, in their order. Python has their values (state/redis/script.py), as both forms
--          of the ledger use them.
-- returns  msgpack: [server time, [[answer, ...] or an error's text, ...]], in the order of the requests.
-- cost     docs/reference/sizing.md. A script blocks the server, so a call carries at most 128 requests.
--
-- Time is the server's (TIME), in Unix seconds with a fraction, so that processes need not agree on it. Every key
-- expires. A key's expiry only cleans up: every value carries the times that decide.
--
-- What is kept of one org, under its base:
--   s:<id> u:<id>  a session, a user: msgpack [last active, begun, other ids...], or the text of the key whose times
--                  are its own. One of the other ids may be "i:<digest>", the uid (rules.md 10); no key has that name.
--                  Kept for SESSION_IDLE.
--   a:<n>:<digits> set of visitors whom a share admitted and whose last new session was in the n-th ADMITTED_PERIOD
--                  days since 1970; of those whose digests begin with these digits, where more than ADMITTED_IN_SET
--                  are in the sets with fewer digits. Kept until ADMITTED_DAYS after these days. (An earlier version
--                  kept "a:<id>": the day of the last new session.)
--   q, e           hashes by billing cycle: units used and reserved; when the cycle ends. Kept until a day after that,
--                  or for UNUSED_COUNTS while no unit is used.
--   t:<token>      the token that made the reservation which this page has joined. Kept for RESERVED and LAPSED.
--   r:<token>      the reservation (2_units.lua). Kept for RESERVED and LAPSED.
--   w:<s or u:id>  the reservation that waits under an id. Kept for RESERVED.
--   lapse          sorted set of "<cycle>|<token>" by when the unit lapses. Kept as long as q.
--   n:<kind>       sorted set of names by last seen. Kept for the retention, or less while the org is new
--                  (3_names.lua).
--   o              since when the org is known, as it has names. Kept as long as these.
--   m:<page>       set of the marks of a page's names (3_names.lua). Kept for PAGE_NAMES_KEPT after it last claimed
--                  any.
--   l:<kind><id>   a session's or a page's accepted calls (4_rates.lua), msgpack. Kept for the longest window and
--                  LATENESS.
--   p:<id>         a page's clock (server time): "<offset> <the earliest that it can become>". Kept for CLOCK_KEPT
--                  after it was last asked for.
--   b:<page>       why the page was blocked: "<code> <filter> <rule>". Kept for BLOCK_KEPT after it was last asked for.
--
-- Of no org, under a base of their own, kept for LISTS_KEPT after the last change (5_lists.lua):
--   lists          hash of the rows of the lists that change at run time, by "<list>|<entry>": "<ends> <changed>". Its
--                  field "" is when it was made.
--   lists:order    sorted set of the same by the number of their last change: microseconds, but no two alike.
--   lists:ends     sorted set of the same by when they end.
--   lists:named    how often a user who is being deleted was named in a session.

-- Of no org, and on each server: epoch, "<since when it has our keys> <the last moment noted here> <when it was
-- found to have gone back to an older state> <by how many seconds>". Kept for EPOCH_KEPT.

-- Durations are seconds, if their name says nothing else.
local SESSION_IDLE, SESSION_LIFE, RESERVED, LAPSED, DAY, ADMITTED_DAYS, ADMITTED_PERIOD, ADMITTED_IN_SET,
  UNUSED_COUNTS, YOUNG_NAMES, LATENESS, CLOCK_KEPT, BLOCK_KEPT, PAGE_NAMES_KEPT, PROBE_KEPT, EPOCH_KEPT, LISTS_KEPT,
  SECOND, SWEPT, MOST_STEPS, MOST_EQUALS, FEW_CALLS, FEW_PAGES, MARKS = unpack(cmsgpack.unpack(ARGV[2]))

local base = KEYS[1]
local stamp = redis.call('TIME')
local server_now = tonumber(stamp[1]) + tonumber(stamp[2]) / SECOND
-- The time of the request that is being carried out.
local now = server_now

-- What carries out an operation, by its name. Each file that follows has one function that fills in its operations.
local operations = {}
-- Functions that are called once at the end, whatever happened.
local finish = {}

local function text_of(number)
  return string.format('%.17g', number)
end

local function milliseconds(seconds)
  -- Neither negative nor endless, whatever the configuration says.
  return string.format('%d', math.max(1000, math.min(seconds, 4e9) * 1000))
end

local function keep(key, value, seconds)
  redis.call('SET', key, value, 'PX', milliseconds(seconds))
end

-- Returns the table of a msgpack value; nil for what cannot be read, as a foreign program may have a key of this name.
local function unpacked(value)
  if not value then
    return nil
  end
  local read, result = pcall(cmsgpack.unpack, value)
  if read and type(result) == 'table' then
    return result
  end
  return nil
end
