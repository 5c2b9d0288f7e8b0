-- Rates (operations.py: Spend), as fsproxy/core/limits/rate.py has them: `times` is sorted, a window is
-- (t - seconds, t], and with one more call no window anywhere may hold more than its limit.
-- Answers [passed, retry after, remaining].

local LATENESS = 300

-- The calls of one upload come together: their list is read and written once.
local lists = {}

finish[#finish + 1] = function()
  for key, list in pairs(lists) do
    if list.changed then
      keep(key, cmsgpack.pack(list.times), list.kept)
    end
  end
end

local function bisect_right(times, value, low, high)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if value < times[middle + 1] then
      high = middle
    else
      low = middle + 1
    end
  end
  return low
end

-- `at`, if it fits into this window; else the earliest moment at which it might.
local function free_from(times, at, place, limit, seconds)
  if limit <= 0 then
    return math.huge
  end
  for first = math.min(place, #times - limit), math.max(place - limit, 0), -1 do
    local earliest = math.min(times[first + 1], at)
    local last = math.max(times[first + limit], at)
    if last - earliest < seconds then
      -- The second term: at least one step of a double further, or the search would not move.
      return math.max(times[first + 1] + seconds, at + at * 2 ^ -52)
    end
  end
  return at
end

local function next_free(times, at, windows)
  local closed = 0
  for _, window in ipairs(windows) do
    if window[1] <= 0 then
      closed = math.max(closed, window[2])
    end
  end
  if closed > 0 then
    return at + closed
  end
  while true do
    local place = bisect_right(times, at, 0, #times)
    local free = at
    for _, window in ipairs(windows) do
      free = math.max(free, free_from(times, at, place, window[1], window[2]))
    end
    if free <= at then
      return at
    end
    at = free
  end
end

local function list_of(key, kept)
  local list = lists[key]
  if not list then
    list = { times = unpacked(redis.call('GET', key)) or {}, changed = false, kept = kept }
    lists[key] = list
  end
  list.kept = math.max(list.kept, kept)
  local gone = bisect_right(list.times, now - list.kept, 0, #list.times)
  if gone > 0 then
    local rest = {}
    for n = gone + 1, #list.times do
      rest[#rest + 1] = list.times[n]
    end
    list.times = rest
  end
  return list
end

function operations.spend(id, at, windows)
  if #windows == 0 then
    return { true, 0, 0 }
  end
  local longest = 0
  for _, window in ipairs(windows) do
    longest = math.max(longest, window[2])
  end
  -- Never later than now, never more than 5 minutes back, by the server's clock.
  at = math.max(now - LATENESS, math.min(at, now))
  local list = list_of(base .. 'c:' .. id, longest + LATENESS)
  local times = list.times
  local place = bisect_right(times, at, 0, #times)
  local remaining = -1
  for _, window in ipairs(windows) do
    local limit, seconds = window[1], window[2]
    if free_from(times, at, place, limit, seconds) > at then
      return { false, next_free(times, at, windows) - at, 0 }
    end
    local before = place - bisect_right(times, at - seconds, math.max(place - limit, 0), place)
    local left = limit - 1 - before
    if left < remaining or remaining < 0 then
      remaining = left
    end
  end
  table.insert(times, place + 1, at)
  list.changed = true
  return { true, 0, math.max(remaining, 0) }
end
