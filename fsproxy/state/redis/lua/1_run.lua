-- The ledger in Redis or Valkey (rules.md 5). The files of this folder are one script, in the order of their names.
--
-- KEYS[1]  the base of all keys of one org, "<prefix><version>:{<org>}:". Every other key is made from it, so
--          all of them lie in its slot.
-- ARGV[1]  msgpack: the requests of one tick that concern this org, [[now, [operation, ...]], ...]; `now` is
--          false, or in tests the time to take instead of the server's.
-- returns  msgpack: [server time, [[answer, ...] or an error's text, ...]], in the order of what was asked.
--
-- Time is the server's (TIME), in Unix seconds with a fraction: processes need not agree on it. Every key
-- expires; a key's expiry only cleans up, as every value carries the times that decide.
--
-- Kept for one org, under its base:
--   s:<id> u:<id>  a session, a user: msgpack [last active, begun, other ids...], or the text of the key whose
--                  times are its own. Among the other ids is "i:<digest>" of its uid, if that is known (rules.md 10);
--                  there is no key of that name. 30 minutes.
--   a:<id>         a visitor that ramping let in: the day (since 1970) of the last new session. 400 days.
--   q, e           hashes by billing cycle: units used and reserved; when the cycle ends. Until a day after that; an
--                  hour while no unit is used.
--   t:<token>      the token that made the reservation which this page holds. 11 minutes.
--   r:<token>      the reservation (2_sessions.lua). 11 minutes.
--   w:<s or u:id>  the reservation that waits under an id. 60 s.
--   lapse          sorted set of "<cycle>|<token>" by when the unit lapses. As long as q.
--   n:<kind>       sorted set of names by last seen. The retention, or less while the org is new (3_names.lua).
--   o              since when the org is known, as it has names. As long as these.
--   l:<kind><id>   a session's accepted calls (4_rates.lua), msgpack. The longest window and 10 minutes.
--   p:<id>         a page's clock (server time): "<offset> <the earliest that it can become>". 15 minutes
--                  after it was last asked for.

local base = KEYS[1]
local stamp = redis.call('TIME')
local server_now = tonumber(stamp[1]) + tonumber(stamp[2]) / 1000000
-- Of the request that is being carried out.
local now = server_now

-- By an operation's first element: what carries it out. Filled by the files that follow.
local operations = {}
-- Called once at the end, whatever happened.
local finish = {}

local function text_of(number)
  return string.format('%.17g', number)
end

local function milliseconds(seconds)
  -- No negative or endless expiry, whatever the configuration says.
  return string.format('%d', math.max(1000, math.min(seconds, 4e9) * 1000))
end

local function keep(key, value, seconds)
  redis.call('SET', key, value, 'PX', milliseconds(seconds))
end

-- A key of this shape may be a foreign program's: what cannot be read is as good as absent.
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
