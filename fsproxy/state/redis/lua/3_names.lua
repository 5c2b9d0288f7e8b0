-- Names (operations.py: Claim).

local function define_names()
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

  -- A page's names, as the set m:<page> of their marks. Returns two functions of a name's place: whether the page may
  -- use it, and one that counts it; nothing without a page. `kept`: what is counted is written, and the set is kept for
  -- longer.
  local function names_of_page(page, limit, marks, kept)
    if not page then
      return
    end
    local key, added = base .. 'm:' .. page, {}
    local size = redis.call('SCARD', key)
    if kept and size > 0 then
      redis.call('PEXPIRE', key, milliseconds(PAGE_NAMES_KEPT))
    end
    local function is_known(mark)
      return added[mark] or redis.call('SISMEMBER', key, mark) == 1
    end
    local function has_room(place)
      return size < limit or is_known(marks[place])
    end
    local function add(place)
      local mark = marks[place]
      if not kept then
        if not is_known(mark) then
          added[mark], size = true, size + 1
        end
      elseif redis.call('SADD', key, mark) == 1 then
        size = size + 1
        if size == 1 then
          redis.call('PEXPIRE', key, milliseconds(PAGE_NAMES_KEPT))
        end
      end
    end
    return has_room, add
  end

  -- Answers a claim for which only the page's own limit holds.
  local function claim_of_page(count, has_room, add)
    local answer = { 0, 0 }
    for place = 1, has_room and count or 0 do
      if has_room(place) then
        add(place)
      else
        answer[#answer + 1] = place - 1
      end
    end
    return answer
  end

  -- kind       which of the org's sets of names
  -- names      to claim, in order
  -- limit      how many names the set may hold; -1: they are not counted, only those of the page are
  -- retention  seconds after which a name that was not seen is forgotten
  -- Of a claim on a page follow the page, how many names it may have, and the mark of each name.
  -- Answers [how many are known, for how many seconds the org has been known, then for each name that is refused its
  -- place from 0, and for each that is new -1 - its place]. A name that was known gives no entry.
  -- Cost: 6 commands, and 1 or 2 for each name; on a page 1 for each name more.
  function operations.claim(kind, names, limit, retention, page, most, marks)
    local has_room, add = names_of_page(page, most, marks, true)
    if limit < 0 then
      return claim_of_page(#names, has_room, add)
    end
    local key = base .. 'n:' .. kind
    redis.call('ZREMRANGEBYSCORE', key, '-inf', text_of(now - retention))
    local known = redis.call('ZCARD', key)
    local at = text_of(now)
    local age = age_of_org()
    local answer = { 0, age }
    for place, name in ipairs(names) do
      local last = redis.call('ZSCORE', key, name)
      if (has_room and not has_room(place)) or not (last or known < limit) then
        answer[#answer + 1] = place - 1
      else
        if not last then
          known = known + 1
          -- Lua's places begin with 1, so this is -1 - the place from 0.
          answer[#answer + 1] = -place
        end
        if not last or tonumber(last) < now then
          redis.call('ZADD', key, at, name)
        end
        if add then
          add(place)
        end
      end
    end
    if known > 0 then
      keep_names(key, age, retention)
    end
    answer[1] = known
    return answer
  end

  -- Answers as `claim` does, and claims nothing. Cost: 1 read, and 1 for each name.
  function operations.look_claim(kind, names, limit, retention, page, most, marks)
    local has_room, add = names_of_page(page, most, marks, false)
    if limit < 0 then
      return claim_of_page(#names, has_room, add)
    end
    local key, since = base .. 'n:' .. kind, now - retention
    local known = redis.call('ZCOUNT', key, '(' .. text_of(since), '+inf')
    local answer, new = { 0, 0 }, {}
    for place, name in ipairs(names) do
      local last = redis.call('ZSCORE', key, name)
      local is_known = (last and tonumber(last) > since) or new[name]
      if (has_room and not has_room(place)) or not (is_known or known < limit) then
        answer[#answer + 1] = place - 1
      else
        if not is_known then
          known, new[name] = known + 1, true
        end
        if add then
          add(place)
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
end
