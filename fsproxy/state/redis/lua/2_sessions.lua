-- Sessions under way, their reservations, the quota (operations.py: Admit, Confirm, Release, Mark, Recall).

-- A session keeps at most so many other ids, so that its value stays small.
local OTHER_IDS = 8

--
-- Sessions and users by id. One id of a session, its chief, has the times; any other is an alias and names the chief.
--

-- Returns the chief of an id, and the chief's times; nil: nothing is known.
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
  return times ~= nil and now - times[1] < SESSION_IDLE and now - times[2] < SESSION_LIFE
end

local function is_uid(other)
  return string.sub(other, 1, 2) == 'i:'
end

-- Writes a chief's times. Activity under one id keeps the others, so their expiry begins again, too.
local function write_times(chief, times)
  keep(base .. chief, cmsgpack.pack(times), SESSION_IDLE)
  for n = 3, #times do
    if not is_uid(times[n]) then
      redis.call('PEXPIRE', base .. times[n], milliseconds(SESSION_IDLE))
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

-- Begins a session now, under the ids that it has. An earlier session's uid goes.
local function begin(chief, times)
  times = times or {}
  times[1], times[2] = now, now
  drop_uid(times)
  write_times(chief, times)
end

-- Notes activity. A session that was idle for too long begins again; one that is too old stays too old.
-- Returns for how many seconds the session can still be under way.
local function touch(id)
  local chief, times = times_of(id)
  if times == nil or now - times[1] >= SESSION_IDLE then
    begin(chief, times)
    return SESSION_LIFE
  end
  if now > times[1] then
    times[1] = now
    write_times(chief, times)
  end
  return SESSION_LIFE - (now - times[2])
end

-- Makes an id an alias of `chief`, and notes it among the chief's other ids while there is room for one.
local function alias(id, chief)
  local _, times = times_of(chief)
  keep(base .. id, chief, SESSION_IDLE)
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

-- Gives the sessions and users of these ids this uid; '' changes nothing.
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

-- Makes one session of all these ids, under way from now on. The chief is that of the first id under way, else of the
-- first one. An id that is under way by itself keeps its own times; any other becomes an alias.
-- `afresh`: the session's times begin now in any case.
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
    begin(chief, times)
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

--
-- Units of the quota.
--

-- For how many seconds the counts are kept: a day longer than their cycles. Looked up once in a script call.
local counts_kept

local function counts_kept_for()
  if counts_kept then
    return counts_kept
  end
  local longest = 0
  for _, ends in ipairs(redis.call('HVALS', base .. 'e')) do
    longest = math.max(longest, tonumber(ends) - now)
  end
  counts_kept = longest + DAY
  return counts_kept
end

local function keep_counts(seconds)
  redis.call('PEXPIRE', base .. 'q', milliseconds(seconds))
  redis.call('PEXPIRE', base .. 'e', milliseconds(seconds))
end

-- Returns the units of a cycle. A new cycle begins with 0, and those that have ended are deleted then.
-- Clients choose the ids of orgs, so an org that never used a unit is soon forgotten.
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
  counts_kept = nil
  keep_counts(#cycles > 0 and counts_kept_for() or UNUSED_COUNTS)
  return 0
end

local function lapse_name(reservation)
  return reservation.c .. '|' .. reservation.f
end

local function give_back(reservation)
  if not reservation.n then
    return
  end
  reservation.n = false
  redis.call('ZREM', base .. 'lapse', lapse_name(reservation))
  if tonumber(redis.call('HGET', base .. 'q', reservation.c) or 0) > 0 then
    if redis.call('HINCRBY', base .. 'q', reservation.c, -1) == 0 and redis.call('HLEN', base .. 'q') == 1 then
      keep_counts(UNUSED_COUNTS)
    end
  end
end

local function count(reservation)
  if reservation.n or reservation.c == '' then
    return
  end
  reservation.n = true
  used_in(reservation.c, reservation.e)
  if redis.call('HINCRBY', base .. 'q', reservation.c, 1) == 1 then
    keep_counts(counts_kept_for())
  end
end

--
-- Reservations. One is stored as a msgpack map:
--   f  the token that reserved           k  the id it waits under ("s:..", "u:..", or "")
--   c  billing cycle, "" without quota   e  when the cycle ends
--   n  the unit is counted               x  confirmed: no failure gives the unit back
--   h  token -> when it lapses           l  lapsed token -> when it is forgotten (an answer may still come)
--

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
    redis.call('PEXPIRE', base .. 'lapse', milliseconds(counts_kept_for()))
  end
end

-- Writes a reservation; one without any token is deleted. Only a unit that may still lapse is in the set `lapse`.
local function save(reservation)
  local last = math.max(latest(reservation.h), latest(reservation.l) - LAPSED)
  if last == 0 then
    redis.call('DEL', base .. 'r:' .. reservation.f)
    if reservation.n then
      redis.call('ZREM', base .. 'lapse', lapse_name(reservation))
    end
    return
  end
  keep(base .. 'r:' .. reservation.f, cmsgpack.pack(reservation), last + LAPSED - now)
  if reservation.n and not reservation.x then
    redis.call('ZADD', base .. 'lapse', text_of(latest(reservation.h)), lapse_name(reservation))
    lapse_added = true
  elseif reservation.n then
    redis.call('ZREM', base .. 'lapse', lapse_name(reservation))
  end
end

local function stop_waiting(reservation)
  local key = base .. 'w:' .. reservation.k
  if reservation.k ~= '' and redis.call('GET', key) == reservation.f then
    redis.call('DEL', key)
  end
end

-- Gives the unit back if no page holds the reservation any more.
local function end_if_unheld(reservation)
  if next(reservation.h) == nil and not reservation.x then
    stop_waiting(reservation)
    give_back(reservation)
  end
end

-- Returns a reservation as of now: tokens whose time is over have lapsed, and lapsed ones are forgotten in time.
local function load(first)
  local reservation = unpacked(redis.call('GET', base .. 'r:' .. first))
  if reservation == nil then
    return nil
  end
  local changed = false
  for token, at in pairs(reservation.h) do
    if at <= now then
      reservation.h[token] = nil
      changed = true
      if not reservation.x then
        reservation.l[token] = at + LAPSED
      end
    end
  end
  for token, at in pairs(reservation.l) do
    if at <= now then
      reservation.l[token] = nil
      changed = true
    end
  end
  if changed then
    end_if_unheld(reservation)
    save(reservation)
  end
  return reservation
end

local function by_token(token)
  local first = redis.call('GET', base .. 't:' .. token)
  local reservation = first and load(first)
  if reservation and (reservation.h[token] or reservation.l[token]) then
    return reservation
  end
  return nil
end

-- Gives back at most so many units that have lapsed, the oldest first. Returns how many it found.
local function give_back_lapsed(at_most)
  local due = redis.call('ZRANGEBYSCORE', base .. 'lapse', '-inf', text_of(now), 'LIMIT', 0, at_most)
  for _, name in ipairs(due) do
    local cycle, first = string.match(name, '^(.-)|(.*)$')
    if not load(first) then
      -- The reservation expired before its unit was given back: no request came for ten minutes.
      give_back({ f = first, c = cycle, n = true })
    else
      redis.call('ZREM', base .. 'lapse', name)
    end
  end
  return #due
end

local swept_at

-- Does the same for the oldest few, with every operation. All operations of a script call have one time (but in tests),
-- so once is enough.
local function sweep()
  if swept_at ~= now then
    swept_at = now
    give_back_lapsed(SWEPT)
  end
end

-- Lets a page's token hold the reservation from now on.
local function add_holder(reservation, token)
  reservation.h[token] = now + RESERVED
  keep(base .. 't:' .. token, reservation.f, RESERVED + LAPSED)
  if reservation.k ~= '' then
    keep(base .. 'w:' .. reservation.k, reservation.f, RESERVED)
  end
  save(reservation)
end

local function waiting(id)
  local first = redis.call('GET', base .. 'w:' .. id)
  local reservation = first and load(first)
  if reservation and not reservation.x and next(reservation.h) ~= nil then
    return reservation
  end
  return nil
end

local function remember_admitted(visitor)
  keep(base .. 'a:' .. visitor, math.floor(now / DAY), (ADMITTED_DAYS + 1) * DAY)
end

-- The day of the last new session of a visitor whom ramping, or a domain rule's share, admitted earlier; or nil.
local function admitted_on(visitor)
  local day = visitor ~= '' and tonumber(redis.call('GET', base .. 'a:' .. visitor) or -1) or -1
  return day >= 0 and day + ADMITTED_DAYS > math.floor(now / DAY) and day or nil
end

-- Whether the visitor was admitted earlier. The day of this new session is remembered.
local function passes_as_admitted(visitor)
  local day = admitted_on(visitor)
  if day and day < math.floor(now / DAY) then
    remember_admitted(visitor)
  end
  return day ~= nil
end

--
-- The operations.
--

-- token       unique to the page
-- id          the session's or user's id ("s:..", "u:.."), or ''
-- visitor     the user's id for ramping, or ''; share_visitor: that for the share of a domain rule that says no, or ''
-- ramped_out  ramping says no unless the visitor was admitted earlier; shared_out: so does the share
-- cycle, limit, ends, enforced  the quota; cycle '' without one
-- Answers [0 new | 1 under way | 2 joined, admitted by ramping, over quota, used, seconds that it can be under way,
-- admitted by the share].
-- Cost: 5 reads where the session is under way, some 15 commands where it is new.
function operations.admit(token, id, visitor, ramped_out, cycle, limit, ends, enforced, share_visitor, shared_out)
  sweep()
  local used = cycle ~= '' and used_in(cycle, ends) or 0
  if id ~= '' then
    local _, times = times_of(id)
    if is_under_way(times) then
      return { 1, false, false, used, touch(id), false }
    end
    local reservation = waiting(id)
    if reservation then
      add_holder(reservation, token)
      return { 2, false, false, used, 0, false }
    end
    -- What lapsed under this id was given back.
    used = cycle ~= '' and used_in(cycle, ends) or 0
  end
  local passes, shared = passes_as_admitted(visitor), passes_as_admitted(share_visitor)
  local over = cycle ~= '' and used >= limit
  if over then
    -- Before anyone is refused, every unit that has lapsed must be back.
    while give_back_lapsed(1000) > 0 do
    end
    used = used_in(cycle, ends)
    over = used >= limit
  end
  if (not ramped_out or passes) and (not shared_out or shared) and not (over and enforced) then
    local reservation = { f = token, k = id, c = cycle, e = ends, n = false, x = false, h = {}, l = {} }
    count(reservation)
    add_holder(reservation, token)
    if reservation.n then
      used = used + 1
    end
  end
  return { 0, passes, over, used, 0, shared }
end

-- Answers as `admit` does, and changes nothing: only units that have lapsed are given back. Cost: 4 reads.
function operations.look_admit(id, visitor, cycle, limit, share_visitor)
  if id ~= '' then
    local _, times = times_of(id)
    if is_under_way(times) or waiting(id) then
      return { 1, false, false, 0, 0, false }
    end
  end
  local passes, shared = admitted_on(visitor) ~= nil, admitted_on(share_visitor) ~= nil
  local used = cycle ~= '' and tonumber(redis.call('HGET', base .. 'q', cycle) or 0) or 0
  if cycle ~= '' and used >= limit then
    while give_back_lapsed(1000) > 0 do
    end
    used = tonumber(redis.call('HGET', base .. 'q', cycle) or 0)
  end
  return { 0, passes, cycle ~= '' and used >= limit, used, 0, shared }
end

-- Appends for how many seconds each id can still be under way.
local function append_left(answer, ids)
  for _, id in ipairs(ids) do
    local _, times = times_of(id)
    answer[#answer + 1] = is_under_way(times) and SESSION_LIFE - (now - times[2]) or 0
  end
end

-- A late answer confirms the session that another reservation waits for: one unit is enough, so the other's goes.
local function supersede(reservation)
  local first = redis.call('GET', base .. 'w:' .. reservation.k)
  local other = first and load(first)
  if other and other.f ~= reservation.f then
    stop_waiting(other)
    other.x = true
    give_back(other)
    other.c = ''
    save(other)
  end
end

-- Confirms a token's reservation, and adds the id it waited under to the ids of the answer.
local function confirm(reservation, token, sessions, users, new)
  reservation.h[token], reservation.l[token], reservation.x = nil, nil, true
  redis.call('DEL', base .. 't:' .. token)
  stop_waiting(reservation)
  if not new and token == reservation.f then
    -- Only the page that reserved decides on the unit: for one that joined, "not new" is the ordinary answer.
    give_back(reservation)
    reservation.c = ''
  end
  if reservation.k ~= '' then
    table.insert(string.sub(reservation.k, 1, 1) == 'u' and users or sessions, 1, reservation.k)
  end
  if reservation.c ~= '' and not reservation.n then
    -- It had lapsed. The unit counts again, unless another page has opened the session meanwhile.
    local times
    if reservation.k ~= '' then
      supersede(reservation)
      local _
      _, times = times_of(reservation.k)
    end
    if not is_under_way(times) then
      count(reservation)
    end
  end
  save(reservation)
end

-- token            the page's
-- sessions, users  ids that are one session, one user
-- new              the upstream says that the session is new
-- visitors         users that ramping or a share has admitted with this page
-- uid              the digest of the uid, or ''
-- Answers [how many ids, for how many seconds each can still be under way...], in the order of sessions, users.
-- Cost: some 15 commands, and 3 more for each id.
function operations.confirm(token, sessions, users, new, visitors, uid)
  sweep()
  local asked_sessions, asked_users = { unpack(sessions) }, { unpack(users) }
  local reservation = by_token(token)
  if reservation then
    confirm(reservation, token, sessions, users, new)
  end
  open(sessions, false)
  -- If the session is not new, the visitor's own time goes on; a new one starts both.
  open(users, new)
  identify(sessions, uid)
  identify(users, uid)
  for _, visitor in ipairs(visitors) do
    remember_admitted(visitor)
  end
  local answer = { #asked_sessions + #asked_users }
  append_left(answer, asked_sessions)
  append_left(answer, asked_users)
  return answer
end

-- token  the page's. Answers false. Cost: 2 reads, and 4 writes if the token holds a reservation.
function operations.release(token)
  sweep()
  local reservation = by_token(token)
  if reservation then
    local held = reservation.h[token] ~= nil
    reservation.h[token], reservation.l[token] = nil, nil
    redis.call('DEL', base .. 't:' .. token)
    if held then
      end_if_unheld(reservation)
    end
    save(reservation)
  end
  return false
end

-- ids  of a session and its user; uid  the digest of the uid, or ''
-- Answers [how many ids, for how many seconds each can still be under way...]. Cost: 3 commands for each id.
function operations.mark(ids, uid)
  for _, id in ipairs(ids) do
    touch(id)
  end
  identify(ids, uid)
  local answer = { #ids }
  append_left(answer, ids)
  return answer
end

-- ids  of a session and its user
-- Answers [the uid's digest, or '', of each id...]. Cost: 1 or 2 reads for each id.
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

-- Answers [how many cycles, cycle, used, cycle, used, ...]. Cost: 1 read. For the admin's views.
function operations.quota_usage()
  local counts = redis.call('HGETALL', base .. 'q')
  return { #counts / 2, unpack(counts) }
end
