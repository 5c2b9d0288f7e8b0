-- New sessions: their reservations, the quota, and whom a share admitted (operations.py: Admit, Confirm, Release).

local function define_units()
  if not times_of then
    define_sessions()
  end

  --
  -- Units of the quota.
  --

  -- Returns for how many seconds the counts are kept: a day longer than their cycles.
  local function counts_kept_for()
    local longest = 0
    for _, ends in ipairs(redis.call('HVALS', base .. 'e')) do
      longest = math.max(longest, tonumber(ends) - now)
    end
    return longest + DAY
  end

  local function keep_counts(seconds)
    redis.call('PEXPIRE', base .. 'q', milliseconds(seconds))
    redis.call('PEXPIRE', base .. 'e', milliseconds(seconds))
  end

  -- The units of cycles, as far as this script call has read or changed them.
  local units = {}

  -- Returns the units of a cycle. A new cycle begins with 0, and those that have ended are deleted then.
  -- Clients choose the ids of orgs, so an org that never used a unit is soon forgotten.
  local function used_in(cycle, ends)
    local used = units[cycle] or tonumber(redis.call('HGET', base .. 'q', cycle) or nil)
    if used then
      units[cycle] = used
      return used
    end
    local cycles = redis.call('HGETALL', base .. 'e')
    for n = 1, #cycles, 2 do
      if tonumber(cycles[n + 1]) <= now then
        redis.call('HDEL', base .. 'e', cycles[n])
        redis.call('HDEL', base .. 'q', cycles[n])
        units[cycles[n]] = nil
      end
    end
    redis.call('HSET', base .. 'q', cycle, 0)
    redis.call('HSET', base .. 'e', cycle, text_of(ends))
    units[cycle] = 0
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
      units[reservation.c] = redis.call('HINCRBY', base .. 'q', reservation.c, -1)
      if units[reservation.c] == 0 and redis.call('HLEN', base .. 'q') == 1 then
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
    units[reservation.c] = redis.call('HINCRBY', base .. 'q', reservation.c, 1)
    if units[reservation.c] == 1 then
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

  -- For how many seconds `lapse` is kept, as far as this script call has added to it.
  local lapse_kept

  finish[#finish + 1] = function()
    if lapse_kept then
      redis.call('PEXPIRE', base .. 'lapse', milliseconds(lapse_kept))
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
      lapse_kept = math.max(lapse_kept or 0, reservation.e + DAY - now)
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

  -- Returns the reservation that a token has made or joined.
  local function by_token(token)
    local reservation = load(token)
    if not reservation then
      local first = redis.call('GET', base .. 't:' .. token)
      reservation = first and load(first)
    end
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

  -- Does the same for the oldest few, with every new session that counts and every failed page. All operations of a
  -- script call have one time (but in tests), so once is enough.
  local function sweep()
    if swept_at ~= now then
      swept_at = now
      give_back_lapsed(SWEPT)
    end
  end

  -- Lets a page's token hold the reservation from now on.
  local function add_holder(reservation, token)
    reservation.h[token] = now + RESERVED
    if token ~= reservation.f then
      keep(base .. 't:' .. token, reservation.f, RESERVED + LAPSED)
    end
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

  --
  -- Visitors whom a share has admitted. There may be very many, so they are sets of numbers, which take 8 bytes each as
  -- long as a set is small. A set that is full is followed by 16, by the next digit of the visitor's digest.
  --

  local function number_of(visitor)
    -- 13 digits are 52 bits, which a double holds exactly.
    return string.format('%.0f', tonumber(string.sub(visitor, -13), 16))
  end

  -- Returns whether the visitor is in a period's sets; if not, the set that has room, and how many are in it.
  local function find_in(period, visitor)
    local number = number_of(visitor)
    for digits = 0, #visitor do
      local key = base .. 'a:' .. period .. ':' .. string.sub(visitor, 1, digits)
      local size = redis.call('SCARD', key)
      if size > 0 and redis.call('SISMEMBER', key, number) == 1 then
        return true
      elseif size < ADMITTED_IN_SET or digits == #visitor then
        return false, key, size
      end
    end
  end

  local function remember_admitted(visitor)
    local period = math.floor(now / DAY / ADMITTED_PERIOD)
    local known, key, size = find_in(period, visitor)
    if not known then
      redis.call('SADD', key, number_of(visitor))
      if size == 0 then
        redis.call('PEXPIRE', key, milliseconds(((period + 1) * ADMITTED_PERIOD + ADMITTED_DAYS) * DAY - now))
      end
    end
  end

  -- Returns the period of the last new session of a visitor whom ramping, or a domain rule's share, admitted earlier.
  -- Cost: 2 reads for each period in which the org admitted anyone, and 1 for any other; twice that for an org with
  -- more than a few hundred visitors in a period.
  local function admitted_in(visitor)
    if visitor == '' then
      return nil
    end
    local today = math.floor(now / DAY)
    for period = math.floor(today / ADMITTED_PERIOD), math.floor((today - ADMITTED_DAYS + 1) / ADMITTED_PERIOD), -1 do
      if find_in(period, visitor) then
        return period
      end
    end
    -- An earlier version kept a key for each visitor, with the day.
    local day = tonumber(redis.call('GET', base .. 'a:' .. visitor) or nil)
    return day and day + ADMITTED_DAYS > today and math.floor(day / ADMITTED_PERIOD) - 1 or nil
  end

  -- Whether the visitor was admitted earlier. This new session is remembered.
  local function passes_as_admitted(visitor)
    local period = admitted_in(visitor)
    if period and period < math.floor(now / DAY / ADMITTED_PERIOD) then
      remember_admitted(visitor)
    end
    return period ~= nil
  end

  --
  -- The operations.
  --

  -- token       unique to the page
  -- id          the session's or user's id ("s:..", "u:.."), or ''
  -- visitor     the user's id, if ramping says no, or ''; share_visitor: that for the share of a domain rule, likewise
  -- ramped_out  ramping says no unless the visitor was admitted earlier; shared_out: so does the share
  -- cycle, limit, ends, enforced  the quota; cycle '' without one
  -- Answers [0 new | 1 under way | 2 joined, admitted by ramping, over quota, used, seconds that it can be under way,
  -- admitted by the share].
  -- Cost: 2 reads where the session is under way, 9 commands where it is new, and what `admitted_in` costs.
  function operations.admit(token, id, visitor, ramped_out, cycle, limit, ends, enforced, share_visitor, shared_out)
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
    end
    if cycle ~= '' then
      sweep()
    end
    local passes, shared = passes_as_admitted(visitor), passes_as_admitted(share_visitor)
    used = cycle ~= '' and used_in(cycle, ends) or 0
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
    local passes, shared = admitted_in(visitor) ~= nil, admitted_in(share_visitor) ~= nil
    local used = cycle ~= '' and tonumber(redis.call('HGET', base .. 'q', cycle) or 0) or 0
    if cycle ~= '' and used >= limit then
      while give_back_lapsed(1000) > 0 do
      end
      used = tonumber(redis.call('HGET', base .. 'q', cycle) or 0)
    end
    return { 0, passes, cycle ~= '' and used >= limit, used, 0, shared }
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
    local waits = reservation.h[token] and not reservation.x
    reservation.h[token], reservation.l[token], reservation.x = nil, nil, true
    -- One key a command: of several, a node that gets their slot would refuse those of which one is absent.
    redis.call('DEL', base .. 't:' .. token)
    if waits then
      -- Nothing else can wait under its id meanwhile.
      redis.call('DEL', base .. 'w:' .. reservation.k)
    else
      stop_waiting(reservation)
    end
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
  -- Cost: 4 commands, and 2 more for each id.
  function operations.confirm(token, sessions, users, new, visitors, uid)
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

  -- Answers [how many cycles, cycle, used, cycle, used, ...]. Cost: 1 read. For the admin's views.
  function operations.quota_usage()
    local counts = redis.call('HGETALL', base .. 'q')
    return { #counts / 2, unpack(counts) }
  end
end
