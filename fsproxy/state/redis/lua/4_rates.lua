-- Rates (operations.py: Spend, Move), as fsproxy/core/limits/rate.py and fsproxy/state/memory/call_log.py have them.
--
-- Windows slide exactly: a window is (t - length, t], and with one more call no window anywhere on the timeline may
-- hold more than its limit. So a log keeps every call's time, sorted, and searches the full windows around a new call.
-- Times are whole microseconds, which a double holds exactly.
--
-- A log is stored as msgpack [times, tags, pages, offsets]: `times` sorted; beside each a tag, which is the place of
-- the call's page among `pages` (from 0) times MARKS plus the call's mark, or -1 for a call without a page; beside each
-- page the microsecond in which it began.

-- Copies of logs, in which calls count that are only looked at, by key. Each request begins without any.
local looked = {}

local function define_rates()
  -- Spans in which no call passes that are remembered in one script call.
  local MOST_BARRED = 64

  -- By key. The calls of one upload come together, so their log is read and written once in a script call.
  local logs = {}

  finish[#finish + 1] = function()
    for key, log in pairs(logs) do
      if log.changed then
        keep(key, cmsgpack.pack({ log.times, log.tags, log.pages, log.offsets }), log.kept)
      end
    end
  end

  -- Returns how many of the sorted `times` are less than `value`, given that at least `low` and at most `high` are.
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

  -- The same, of those that are not greater than `value`.
  local function first_after(times, value, low, high)
    return first_from(times, value + 1, low, high)
  end

  -- Returns the place (from 0) of the first of `limit` calls in a row that share a window with `at`; nil: there is
  -- room. All of them lie less than a length before or behind `at`. A row that spans a whole length shares no window.
  -- The rows before it begin no later, so those that reach as far span it, too, and are skipped together.
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

  -- Returns the first and the last microsecond around `at` that one full window bars; nil: it fits into all of them.
  local function barred_by(times, at, windows)
    for _, window in ipairs(windows) do
      local row = full_row(times, at, window[1], window[2])
      if row then
        return times[row + window[1]] - window[2] + 1, times[row + 1] + window[2] - 1
      end
    end
    return nil
  end

  -- Returns the moment from which on every window has room, as far as it can be found in a few steps; else one that is
  -- behind all calls.
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

  -- Drops the first `gone` calls.
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

  -- Forgets the pages that no call is left of, as clients choose their ids, and numbers the others anew.
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
      -- What is no log of ours counts as empty.
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
      -- Once in a script call: a late upload is validated by its own calls, and none of them may go in between.
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

  -- Whether the same call of the same page is counted: it is among those of its microsecond.
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

  -- Returns the end of a barred span around `at` that was found before. It holds until a call is forgotten or moved, as
  -- another accepted call only makes windows fuller.
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

  -- `also` is asked once this log has room, before the call counts here: a call that one log refuses counts in none.
  local function spend(log, at, windows, page, when, mark, also)
    local slot = page ~= '' and slot_of(log, page) or nil
    local offset = at - when
    if slot then
      move(log, slot, offset)
      at = log.offsets[slot + 1] + when
    end
    if page == '' then
      -- A call without a page was made by now; the clock of the process that asks may be ahead of the server's.
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
      -- Only a client that sent the call by itself waits for the moment at which it passes, so only then it is
      -- searched.
      local free = page ~= '' and last + 1 or free_after(times, last, windows)
      return { false, (free - at) / SECOND, 0 }
    end
    local other = also and also()
    if other and not other[1] then
      return other
    end
    local remaining, most = other and other[3] or -1, FEW_CALLS
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

  local function looked_log(key, kept)
    local log = looked[key]
    if not log then
      local own = log_of(key, kept)
      log = { times = dropped(own.times, 0), tags = dropped(own.tags, 0) }
      log.pages, log.offsets, log.kept = dropped(own.pages, 0), dropped(own.offsets, 0), own.kept
      looked[key] = log
    end
    return log
  end

  -- Decides a call by the logs that `find` returns: one, or two if a second id is given.
  local function spend_in(find, at, page, when, mark, id, windows, other_id, other_windows)
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
    local also = other_id and function()
      return spend_in(find, at, page, when, mark, other_id, other_windows)
    end
    return spend(find(base .. 'l:' .. id, longest / SECOND + LATENESS), at, windows, page, when, mark, also)
  end

  -- at       microsecond of the call on the server's clock
  -- page     the page whose clock `at` was read from, or ''
  -- when     microseconds since that page's start
  -- mark     32 bits by which a repeat of the call is known; 0: none
  -- id       the log's: kind, and session or page
  -- windows  [[limit, length in microseconds], ...]
  -- Where both a session's and a page's windows hold, a second id and its windows follow.
  -- Answers [passed, seconds until it would pass, calls left in the tightest window].
  -- Cost: O(log n) for the search and O(n) for the insertion among n calls; the log is read and written once a script
  -- call.
  function operations.spend(...)
    return spend_in(log_of, ...)
  end

  -- Answers as `spend` does. The call counts in a copy of the log, which the other calls of the request share.
  function operations.look_spend(...)
    return spend_in(looked_log, ...)
  end

  -- ids     the logs in which the page may have calls
  -- offset  the microsecond in which the page began, now that its clock was moved back (5_clocks.lua)
  -- Answers true. Cost: O(n) for each log that has calls of the page.
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
end
