-- Names (operations.py: Claim).

-- Clients choose the ids of orgs, and each may have thousands of names. Those of an org that is new are kept for
-- YOUNG_NAMES, and then for so many times as long as the org has been known, up to the retention.
local GROWTH = 4

local function age_of_org()
  local born = tonumber(redis.call('GET', base .. 'o') or nil) or server_now
  return math.max(server_now - born, 0)
end

local function keep_names(key, age, retention)
  local life = math.min(retention, math.max(YOUNG_NAMES, GROWTH * age))
  keep(base .. 'o', text_of(server_now - age), life)
  -- Never shorter than before: an org that an earlier version knew has no age.
  if redis.call('PTTL', key) < tonumber(milliseconds(life)) then
    redis.call('PEXPIRE', key, milliseconds(life))
  end
end

-- kind       which of the org's sets of names
-- names      to claim, in order
-- limit      how many names the set may hold
-- retention  seconds after which a name that was not seen is forgotten
-- Answers [how many are known, for how many seconds the org has been known, then for each name that is refused its
-- place from 0, and for each that is new -1 - its place]. A name that was known gives no entry.
-- Cost: 6 commands, and 1 or 2 for each name.
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
      -- Lua's places begin with 1, so this is -1 - the place from 0.
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

-- Answers as `claim` does, and claims nothing. Cost: 1 read, and 1 for each name.
function operations.look_claim(kind, names, limit, retention)
  local key, since = base .. 'n:' .. kind, now - retention
  local known = redis.call('ZCOUNT', key, '(' .. text_of(since), '+inf')
  local answer, new = { 0, 0 }, {}
  for place, name in ipairs(names) do
    local last = redis.call('ZSCORE', key, name)
    if not (last and tonumber(last) > since) and not new[name] then
      if known < limit then
        known, new[name] = known + 1, true
      else
        answer[#answer + 1] = place - 1
      end
    end
  end
  answer[1] = known
  return answer
end

-- kinds  of names. Answers how many names of each kind are known. Cost: 1 read for each. For the admin's views.
function operations.names_usage(kinds)
  local counts = {}
  for n, kind in ipairs(kinds) do
    counts[n] = redis.call('ZCARD', base .. 'n:' .. kind)
  end
  return counts
end
