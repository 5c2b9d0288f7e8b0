-- Rates (operations.py: Spend, Move), as fsproxy/core/limits/rate.py and ledger/call_log.py have them. Times are whole
-- microseconds, which a double holds exactly; a window is (t - length, t], and with one more call no window anywhere may
-- hold more than its limit. Spend answers [passed, retry after in seconds, remaining].
--
-- A log is { times, tags, pages, offsets, offset of each page }: `times` sorted; beside each a tag, its page's place
-- among `pages` (from 0) times 2^32 plus the call's mark, or -1; of each page the microsecond in which it began.

local LATENESS = 600
local SECOND = 1000000
local MARKS = 4294967296
local MOST_STEPS = 32
local MOST_EQUALS = 64
local MOST_BARRED = 64
local FEW_CALLS = 10000
local FEW_PAGES = 8

-- The calls of one upload come together: their log is read and written once.
local logs = {}

finish[#finish + 1] = function()
  for key, log in pairs(logs) do
    if log.changed then
      keep(key, cmsgpack.pack({ log.times, log.tags, log.pages, log.offsets }), log.kept)
    end
  end
end

local function first_from(times, value, low, high)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if times[middle + 1] < value then
      low = middle + 1
    else
      high = middle
    end
  end
  return low
end

local function first_after(times, value, low, high)
  return first_from(times, value + 1, low, high)
end

-- The place of the first of `limit` calls in a row that share a window with `at`; nil: there is room.
local function full_row(times, at, limit, length)
  if #times < limit then
    return nil
  end
  local row = first_from(times, at + length, 0, #times) - limit
  local first = first_after(times, at - length, 0, #times)
  while row >= first do
    local ends = times[row + 1] + length
    if times[row + limit] < ends then
      return row
    end
    row = first_from(times, ends, row, row + limit) - limit
  end
  return nil
end

-- The first and the last microsecond around `at` that one full window bars; nil: it fits into all of them.
local function barred_by(times, at, windows)
  for _, window in ipairs(windows) do
    local row = full_row(times, at, window[1], window[2])
    if row then
      return times[row + window[1]] - window[2] + 1, times[row + 1] + window[2] - 1
    end
  end
  return nil
end

-- The moment from which on every window has room, as far as it can be found in a few steps.
local function free_after(times, last, windows)
  for _ = 1, MOST_STEPS do
    local _, more = barred_by(times, last + 1, windows)
    if not more then
      return last + 1
    end
    last = more
  end
  local free = times[#times]
  for _, window in ipairs(windows) do
    if #times >= window[1] then
      free = math.max(free, times[#times - window[1] + 1] + window[2])
    end
  end
  return free
end

local function dropped(list, gone)
  local rest = {}
  for n = gone + 1, #list do
    rest[#rest + 1] = list[n]
  end
  return rest
end

local function forget(log, gone)
  if gone > 0 then
    log.times, log.tags = dropped(log.times, gone), dropped(log.tags, gone)
    log.barred = nil
  end
end

local function slot_of(log, page)
  for n = 1, #log.pages do
    if log.pages[n] == page then
      return n - 1
    end
  end
  return nil
end

-- Forgets the pages that no call is left of: clients choose their ids.
local function drop_pages(log)
  local pages, offsets, places = {}, {}, {}
  for n, tag in ipairs(log.tags) do
    if tag >= 0 then
      local slot = math.floor(tag / MARKS)
      if not places[slot] then
        places[slot] = #pages
        pages[#pages + 1], offsets[#offsets + 1] = log.pages[slot + 1], log.offsets[slot + 1]
      end
      log.tags[n] = places[slot] * MARKS + tag % MARKS
    end
  end
  log.pages, log.offsets = pages, offsets
end

local function read_log(value)
  local read = unpacked(value) or {}
  for n = 1, 4 do
    -- A foreign program's: as if it were not there.
    if type(read[n]) ~= 'table' or #read[n] ~= #read[n % 2 == 0 and n - 1 or n] then
      read = { {}, {}, {}, {} }
    end
  end
  return { times = read[1], tags = read[2], pages = read[3], offsets = read[4] }
end

local function log_of(key, kept)
  local log = logs[key]
  if not log then
    log = read_log(redis.call('GET', key))
    log.kept = math.max(kept, redis.call('PTTL', key) / 1000)
    logs[key] = log
    -- Once, as the calls of one late upload are judged together.
    forget(log, first_from(log.times, (now - log.kept) * SECOND, 0, #log.times))
    if #log.times == 0 or #log.pages > FEW_PAGES then
      drop_pages(log)
    end
  end
  log.kept = math.max(log.kept, kept)
  return log
end

-- Moves the calls of a page back, so that it begins at `offset`. Both runs are sorted, so they are merged.
local function move(log, slot, offset)
  local back = log.offsets[slot + 1] - offset
  if back <= 0 then
    return
  end
  local moved, others = { {}, {} }, { {}, {} }
  for n, tag in ipairs(log.tags) do
    local of_page = tag >= 0 and math.floor(tag / MARKS) == slot
    local run = of_page and moved or others
    run[1][#run[1] + 1] = of_page and log.times[n] - back or log.times[n]
    run[2][#run[2] + 1] = tag
  end
  local times, tags = {}, {}
  local m, o = 1, 1
  while m <= #moved[1] or o <= #others[1] do
    local run, n
    if o > #others[1] or (m <= #moved[1] and moved[1][m] <= others[1][o]) then
      run, n, m = moved, m, m + 1
    else
      run, n, o = others, o, o + 1
    end
    times[#times + 1], tags[#tags + 1] = run[1][n], run[2][n]
  end
  log.times, log.tags = times, tags
  log.offsets[slot + 1] = offset
  log.barred = nil
  log.changed = true
end

local function is_counted(log, place, at, tag)
  for n = place, math.max(place - MOST_EQUALS + 1, 1), -1 do
    if log.times[n] ~= at then
      return false
    end
    if log.tags[n] == tag then
      return true
    end
  end
  return false
end

-- Times in which no call passes, as far as they were found in this run: while no call is forgotten or moved.
local function known_barred(log, at)
  for _, barred in ipairs(log.barred or {}) do
    if barred[1] <= at and at <= barred[2] then
      return barred[2]
    end
  end
  return nil
end

local function bar(log, first, last)
  log.barred = log.barred or {}
  local place = #log.barred < MOST_BARRED and #log.barred + 1 or 1
  log.barred[place] = { first, last }
end

local function spend(log, at, windows, page, when, mark)
  local slot = page ~= '' and slot_of(log, page) or nil
  local offset = at - when
  if slot then
    move(log, slot, offset)
    at = log.offsets[slot + 1] + when
  end
  if page == '' then
    -- By the server's clock: another's may be ahead.
    at = math.min(at, math.floor(now * SECOND))
  end
  local times = log.times
  local place = first_after(times, at, 0, #times)
  if slot and mark > 0 and is_counted(log, place, at, slot * MARKS + mark) then
    return { true, 0, 0 }
  end
  local last = known_barred(log, at)
  if not last then
    local first
    first, last = barred_by(times, at, windows)
    if first then
      bar(log, first, last)
    end
  end
  if last then
    -- Only a client that sent the call by itself waits for the moment at which it would pass.
    local free = page ~= '' and last + 1 or free_after(times, last, windows)
    return { false, (free - at) / SECOND, 0 }
  end
  local remaining, most = -1, FEW_CALLS
  for _, window in ipairs(windows) do
    local left = window[1] - 1 - (place - first_after(times, at - window[2], math.max(place - window[1], 0), place))
    if left < remaining or remaining < 0 then
      remaining = left
    end
    most = math.max(most, 2 * window[1])
  end
  if page ~= '' and not slot then
    slot = #log.pages
    log.pages[slot + 1], log.offsets[slot + 1] = page, offset
  end
  table.insert(times, place + 1, at)
  table.insert(log.tags, place + 1, slot and slot * MARKS + mark or -1)
  log.changed = true
  if #times > most then
    forget(log, math.floor(most / 4))
  end
  return { true, 0, math.max(remaining, 0) }
end

function operations.spend(id, at, windows, page, when, mark)
  if #windows == 0 then
    return { true, 0, 0 }
  end
  local longest, closed = 0, 0
  for _, window in ipairs(windows) do
    longest = math.max(longest, window[2])
    if window[1] <= 0 then
      closed = math.max(closed, window[2])
    end
  end
  if closed > 0 then
    return { false, closed / SECOND, 0 }
  end
  return spend(log_of(base .. 'l:' .. id, longest / SECOND + LATENESS), at, windows, page, when, mark)
end

-- The clock of a page was moved back (5_end.lua): its calls move with it. Without a log nothing is to be moved.
function operations.move(ids, page, offset)
  for _, id in ipairs(ids) do
    local key = base .. 'l:' .. id
    if logs[key] or redis.call('EXISTS', key) == 1 then
      local log = log_of(key, LATENESS)
      local slot = slot_of(log, page)
      if slot then
        move(log, slot, offset)
      end
    end
  end
  return true
end
