-- Sessions under way by their ids (operations.py: Mark, Recall).

local times_of, is_under_way, touch, open, identify, append_left

-- What is known of the ids that this script call has read or written: a chief's times, for an alias the chief's key, or
-- false.
local ids_read = {}

local function define_sessions()
  -- A session keeps at most so many other ids, so that its value stays small.
  local OTHER_IDS = 8

  --
  -- Sessions and users by id. One id of a session, its chief, has the times; any other is an alias and names the chief.
  --

  local function read_id(id)
    local value = ids_read[id]
    if value == nil then
      value = redis.call('GET', base .. id)
      value = unpacked(value) or value
      ids_read[id] = value
    end
    return value
  end

  -- Returns the chief of an id, and the chief's times; nil: nothing is known.
  function times_of(id)
    local value = read_id(id)
    if not value then
      return id, nil
    elseif type(value) == 'table' then
      return id, value
    end
    local times = read_id(value)
    return value, type(times) == 'table' and times or nil
  end

  function is_under_way(times)
    return times ~= nil and now - times[1] < SESSION_IDLE and now - times[2] < SESSION_LIFE
  end

  local function is_uid(other)
    return string.sub(other, 1, 2) == 'i:'
  end

  -- Writes a chief's times. Activity under one id keeps the others, so their expiry begins again, too.
  local function write_times(chief, times)
    ids_read[chief] = times
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
  function touch(id)
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
    ids_read[id] = chief
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
  function identify(ids, uid)
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
  function open(ids, afresh)
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

  -- Appends for how many seconds each id can still be under way.
  function append_left(answer, ids)
    for _, id in ipairs(ids) do
      local _, times = times_of(id)
      answer[#answer + 1] = is_under_way(times) and SESSION_LIFE - (now - times[2]) or 0
    end
  end

  -- ids  of a session and its user; uid  the digest of the uid, or ''
  -- Answers [how many ids, for how many seconds each can still be under way...]. Cost: 2 commands for each id.
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
end
