-- Names (operations.py: Claim). Answers [how many are known, for how many seconds the org is, the places (from 0) of
-- those refused, and as -1 - place of those that are new...].

-- Clients choose the ids of orgs, and each may have thousands of names. Those of an org that is new are kept for two
-- hours, and then for four times as long as it has been known, up to the retention.
local YOUNG, GROWTH = 7200, 4

local function age_of_org()
  local born = tonumber(redis.call('GET', base .. 'o') or nil) or server_now
  return math.max(server_now - born, 0)
end

local function keep_names(key, age, retention)
  local life = math.min(retention, math.max(YOUNG, GROWTH * age))
  keep(base .. 'o', text_of(server_now - age), life)
  -- Never shorter than before: of an org that an earlier version knew, no age is kept.
  if redis.call('PTTL', key) < tonumber(milliseconds(life)) then
    redis.call('PEXPIRE', key, milliseconds(life))
  end
end

function operations.claim(kind, names, limit, retention)
  local key = base .. 'n:' .. kind
  redis.call('ZREMRANGEBYSCORE', key, '-inf', text_of(now - retention))
  local known = redis.call('ZCARD', key)
  local at = text_of(now)
  local age = age_of_org()
  local answer = { 0, age }
  for place, name in ipairs(names) do
    local last = redis.call('ZSCORE', key, name)
    if last then
      if tonumber(last) < now then
        redis.call('ZADD', key, at, name)
      end
    elseif known < limit then
      redis.call('ZADD', key, at, name)
      known = known + 1
      answer[#answer + 1] = -place
    else
      answer[#answer + 1] = place - 1
    end
  end
  if known > 0 then
    keep_names(key, age, retention)
  end
  answer[1] = known
  return answer
end

function operations.names_usage(kinds)
  local counts = {}
  for n, kind in ipairs(kinds) do
    counts[n] = redis.call('ZCARD', base .. 'n:' .. kind)
  end
  return counts
end
