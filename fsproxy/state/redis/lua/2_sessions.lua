-- Sessions under way, their reservations, the quota (operations.py: Admit, Confirm, Release, Mark).
--
-- A reservation, msgpack, is the map
--   f  the token that reserved           k  the id it waits under ("s:..", "u:..", or "")
--   c  billing cycle, "" without quota   e  when the cycle ends
--   n  the unit is counted               x  confirmed: no failure gives the unit back
--   h  token -> when it lapses           l  lapsed token -> when it is forgotten (an answer may still come)

local IDLE, LIFE = 1800, 86400
local RESERVED, LAPSED = 60, 600
local DAY, ADMITTED_DAYS = 86400, 400
local SWEPT = 16
local OTHER_IDS = 8

-- Sessions and users by id. An id is another's alias ("s:..."), or has times of its own.

local function times_of(id)
  local value = redis.call('GET', base .. id)
  if not value then
    return id, nil
  end
  local times = unpacked(value)
  if times then
    return id, times
  end
  return value, unpacked(redis.call('GET', base .. value))
end

local function is_under_way(times)
  return times ~= nil and now - times[1] < IDLE and now - times[2] < LIFE
end

local function is_uid(other)
  return string.sub(other, 1, 2) == 'i:'
end

local function write_times(id, times)
  keep(base .. id, cmsgpack.pack(times), IDLE)
  -- Activity under one id keeps the others.
  for n = 3, #times do
    if not is_uid(times[n]) then
      redis.call('PEXPIRE', base .. times[n], milliseconds(IDLE))
    end
  end
end

local function drop_uid(times)
  for n = #times, 3, -1 do
    if is_uid(times[n]) then
      table.remove(times, n)
    end
  end
end

local function start(id, times)
  times = times or {}
  times[1], times[2] = now, now
  drop_uid(times)
  write_times(id, times)
end

-- Active now. What has been idle for too long starts again; what is too old stays too old.
-- Returns for how many seconds the session can still be under way.
local function touch(id)
  local chief, times = times_of(id)
  if times == nil or now - times[1] >= IDLE then
    start(chief, times)
    return LIFE
  end
  if now > times[1] then
    times[1] = now
    write_times(chief, times)
  end
  return LIFE - (now - times[2])
end

local function alias(id, chief)
  local _, times = times_of(chief)
  keep(base .. id, chief, IDLE)
  if times == nil then
    return
  end
  for n = 3, #times do
    if times[n] == id then
      return
    end
  end
  if #times < 2 + OTHER_IDS then
    times[#times + 1] = id
    write_times(chief, times)
  end
end

-- From now on the sessions and users of these ids have this uid; '' changes nothing.
local function identify(ids, uid)
  if uid == '' then
    return
  end
  for _, id in ipairs(ids) do
    local chief, times = times_of(id)
    if times then
      drop_uid(times)
      times[#times + 1] = 'i:' .. uid
      write_times(chief, times)
    end
  end
end

-- Under way from now on, under all of these: the first that is known (else the first) keeps the times.
local function open(ids, afresh)
  if #ids == 0 then
    return
  end
  local known
  for _, id in ipairs(ids) do
    local _, times = times_of(id)
    if is_under_way(times) then
      known = id
      break
    end
  end
  local chief, times = times_of(known or ids[1])
  if not known or afresh then
    start(chief, times)
  else
    touch(known)
  end
  for _, id in ipairs(ids) do
    local own, own_times = times_of(id)
    if own ~= chief then
      if is_under_way(own_times) then
        touch(id)
      else
        alias(id, chief)
      end
    end
  end
end

-- Units.

-- How long the counts are kept: a day beyond their cycles. Looked up once in a script call.
local kept_for

local function cycle_kept_for()
  if kept_for then
    return kept_for
  end
  local longest = 0
  for _, ends in ipairs(redis.call('HVALS', base .. 'e')) do
    longest = math.max(longest, tonumber(ends) - now)
  end
  kept_for = longest + DAY
  return kept_for
end

-- Clients choose the ids of orgs: one that never used a unit is soon forgotten.
local UNUSED = 3600

local function keep_counts(seconds)
  redis.call('PEXPIRE', base .. 'q', milliseconds(seconds))
  redis.call('PEXPIRE', base .. 'e', milliseconds(seconds))
end

local function used_in(cycle, ends)
  local used = redis.call('HGET', base .. 'q', cycle)
  if used then
    return tonumber(used)
  end
  local cycles = redis.call('HGETALL', base .. 'e')
  for n = 1, #cycles, 2 do
    if tonumber(cycles[n + 1]) <= now then
      redis.call('HDEL', base .. 'e', cycles[n])
      redis.call('HDEL', base .. 'q', cycles[n])
    end
  end
  redis.call('HSET', base .. 'q', cycle, 0)
  redis.call('HSET', base .. 'e', cycle, text_of(ends))
  kept_for = nil
  keep_counts(#cycles > 0 and cycle_kept_for() or UNUSED)
  return 0
end

local function lapse_name(hold)
  return hold.c .. '|' .. hold.f
end

local function give_back(hold)
  if not hold.n then
    return
  end
  hold.n = false
  redis.call('ZREM', base .. 'lapse', lapse_name(hold))
  if tonumber(redis.call('HGET', base .. 'q', hold.c) or 0) > 0 then
    if redis.call('HINCRBY', base .. 'q', hold.c, -1) == 0 and redis.call('HLEN', base .. 'q') == 1 then
      keep_counts(UNUSED)
    end
  end
end

local function count(hold)
  if hold.n or hold.c == '' then
    return
  end
  hold.n = true
  used_in(hold.c, hold.e)
  if redis.call('HINCRBY', base .. 'q', hold.c, 1) == 1 then
    keep_counts(cycle_kept_for())
  end
end

-- Reservations.

local function latest(tokens)
  local last = 0
  for _, at in pairs(tokens) do
    last = math.max(last, at)
  end
  return last
end

local lapse_added = false

finish[#finish + 1] = function()
  if lapse_added then
    redis.call('PEXPIRE', base .. 'lapse', milliseconds(cycle_kept_for()))
  end
end

local function save(hold)
  local last = math.max(latest(hold.h), latest(hold.l) - LAPSED)
  if last == 0 then
    redis.call('DEL', base .. 'r:' .. hold.f)
    if hold.n then
      redis.call('ZREM', base .. 'lapse', lapse_name(hold))
    end
    return
  end
  keep(base .. 'r:' .. hold.f, cmsgpack.pack(hold), last + LAPSED - now)
  if hold.n and not hold.x then
    redis.call('ZADD', base .. 'lapse', text_of(latest(hold.h)), lapse_name(hold))
    lapse_added = true
  elseif hold.n then
    redis.call('ZREM', base .. 'lapse', lapse_name(hold))
  end
end

local function close(hold)
  if hold.k ~= '' and redis.call('GET', base .. 'w:' .. hold.k) == hold.f then
    redis.call('DEL', base .. 'w:' .. hold.k)
  end
end

local function let_go(hold)
  if next(hold.h) == nil and not hold.x then
    close(hold)
    give_back(hold)
  end
end

-- The reservation as of now: holders whose time is over have lapsed.
local function load(first)
  local hold = unpacked(redis.call('GET', base .. 'r:' .. first))
  if hold == nil then
    return nil
  end
  local lapsed = false
  for token, at in pairs(hold.h) do
    if at <= now then
      hold.h[token] = nil
      lapsed = true
      if not hold.x then
        hold.l[token] = at + LAPSED
      end
    end
  end
  for token, at in pairs(hold.l) do
    if at <= now then
      hold.l[token] = nil
      lapsed = true
    end
  end
  if lapsed then
    let_go(hold)
    save(hold)
  end
  return hold
end

local function by_token(token)
  local first = redis.call('GET', base .. 't:' .. token)
  local hold = first and load(first)
  if hold and (hold.h[token] or hold.l[token]) then
    return hold
  end
  return nil
end

-- Give back what has lapsed: the oldest few, or all of it.
local swept_at

local function sweep(at_most)
  if at_most == SWEPT then
    -- The operations of one script call come at one moment, but in tests.
    if swept_at == now then
      return 0
    end
    swept_at = now
  end
  local due = redis.call('ZRANGEBYSCORE', base .. 'lapse', '-inf', text_of(now), 'LIMIT', 0, at_most)
  for _, name in ipairs(due) do
    local cycle, first = string.match(name, '^(.-)|(.*)$')
    if not load(first) then
      -- The record went before its unit: nobody was there for ten minutes.
      give_back({ f = first, c = cycle, n = true })
    else
      redis.call('ZREM', base .. 'lapse', name)
    end
  end
  return #due
end

local function hold_for(hold, token)
  hold.h[token] = now + RESERVED
  keep(base .. 't:' .. token, hold.f, RESERVED + LAPSED)
  if hold.k ~= '' then
    keep(base .. 'w:' .. hold.k, hold.f, RESERVED)
  end
  save(hold)
end

local function waiting(id)
  local first = redis.call('GET', base .. 'w:' .. id)
  local hold = first and load(first)
  if hold and not hold.x and next(hold.h) ~= nil then
    return hold
  end
  return nil
end

local function passes_ramping(visitor)
  if visitor == '' then
    return false
  end
  local day = tonumber(redis.call('GET', base .. 'a:' .. visitor) or -1)
  local today = math.floor(now / DAY)
  if day == nil or day < 0 or day + ADMITTED_DAYS <= today then
    return false
  end
  if day < today then
    keep(base .. 'a:' .. visitor, today, (ADMITTED_DAYS + 1) * DAY)
  end
  return true
end

-- The operations. Admit answers [0 new | 1 under way | 2 joined, let in by ramping, over quota, used, seconds left].

function operations.admit(token, id, visitor, ramped_out, cycle, limit, ends, enforced)
  sweep(SWEPT)
  local used = cycle ~= '' and used_in(cycle, ends) or 0
  if id ~= '' then
    local _, times = times_of(id)
    if is_under_way(times) then
      return { 1, false, false, used, touch(id) }
    end
    local hold = waiting(id)
    if hold then
      hold_for(hold, token)
      return { 2, false, false, used, 0 }
    end
    used = cycle ~= '' and used_in(cycle, ends) or 0
  end
  local passes = passes_ramping(visitor)
  local over = cycle ~= '' and used >= limit
  if over then
    -- Before anyone is refused, every unit that has lapsed must be back.
    while sweep(1000) > 0 do
    end
    used = used_in(cycle, ends)
    over = used >= limit
  end
  if (not ramped_out or passes) and not (over and enforced) then
    local hold = { f = token, k = id, c = cycle, e = ends, n = false, x = false, h = {}, l = {} }
    count(hold)
    hold_for(hold, token)
    if hold.n then
      used = used + 1
    end
  end
  return { 0, passes, over, used, 0 }
end

-- Confirm and Mark answer for how many seconds each id can still be under way.

local function left_of(ids, left)
  for _, id in ipairs(ids) do
    local _, times = times_of(id)
    left[#left + 1] = is_under_way(times) and LIFE - (now - times[2]) or 0
  end
  return left
end

function operations.confirm(token, sessions, users, new, visitors, uid)
  sweep(SWEPT)
  local known_sessions, known_users = #sessions, #users
  local asked_sessions, asked_users = { unpack(sessions) }, { unpack(users) }
  local hold = by_token(token)
  if hold then
    hold.h[token], hold.l[token], hold.x = nil, nil, true
    redis.call('DEL', base .. 't:' .. token)
    close(hold)
    if not new and token == hold.f then
      -- Only the page that reserved speaks of the unit: the others were told "under way".
      give_back(hold)
      hold.c = ''
    end
    if hold.k ~= '' then
      table.insert(string.sub(hold.k, 1, 1) == 'u' and users or sessions, 1, hold.k)
    end
    if hold.c ~= '' and not hold.n then
      local _, times = nil, nil
      if hold.k ~= '' then
        local other = redis.call('GET', base .. 'w:' .. hold.k)
        other = other and load(other)
        if other and other.f ~= hold.f then
          -- A late answer confirms the session that another reservation waits for: one unit is enough.
          close(other)
          other.x = true
          give_back(other)
          other.c = ''
          save(other)
        end
        _, times = times_of(hold.k)
      end
      if not is_under_way(times) then
        count(hold)
      end
    end
    save(hold)
  end
  open(sessions, false)
  -- Of a session that is not new, the visitor's own time goes on; a new one starts both.
  open(users, new)
  identify(sessions, uid)
  identify(users, uid)
  for _, visitor in ipairs(visitors) do
    keep(base .. 'a:' .. visitor, math.floor(now / DAY), (ADMITTED_DAYS + 1) * DAY)
  end
  return left_of(asked_users, left_of(asked_sessions, { known_sessions + known_users }))
end

function operations.release(token)
  sweep(SWEPT)
  local hold = by_token(token)
  if hold then
    local held = hold.h[token] ~= nil
    hold.h[token], hold.l[token] = nil, nil
    redis.call('DEL', base .. 't:' .. token)
    if held then
      let_go(hold)
    end
    save(hold)
  end
  return false
end

function operations.mark(ids, uid)
  for _, id in ipairs(ids) do
    touch(id)
  end
  identify(ids, uid)
  return left_of(ids, { #ids })
end

-- Answers [the uid's digest or '' of each id...].
function operations.recall(ids)
  local uids = {}
  for n, id in ipairs(ids) do
    local _, times = times_of(id)
    uids[n] = ''
    for other = 3, is_under_way(times) and #times or 0 do
      if is_uid(times[other]) then
        uids[n] = string.sub(times[other], 3)
      end
    end
  end
  return uids
end

-- Answers [cycles, cycle, used, cycle, used, ...].
function operations.quota_usage()
  local counts = redis.call('HGETALL', base .. 'q')
  return { #counts / 2, unpack(counts) }
end
