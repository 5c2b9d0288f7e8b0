-- Names (operations.py: Claim). Answers [how many are known, the places (from 0) of those refused, and as -1 - place
-- of those that are new...].

function operations.claim(kind, names, limit, retention)
  local key = base .. 'n:' .. kind
  redis.call('ZREMRANGEBYSCORE', key, '-inf', text_of(now - retention))
  local known = redis.call('ZCARD', key)
  local at = text_of(now)
  local answer = { 0 }
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
    redis.call('PEXPIRE', key, milliseconds(retention))
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
