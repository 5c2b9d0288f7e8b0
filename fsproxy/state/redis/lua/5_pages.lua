-- Pages' clocks (rules.md 2): fixed at the first upload's offset, moved back by a later upload that shows that it was
-- too late.

local function define_pages()
  local function read_clock(value)
    local offset, earliest = string.match(value or '', '^(%S+) ?(%S*)$')
    offset = tonumber(offset)
    -- An earlier version kept the offset alone, and moved no clock.
    return offset, tonumber(earliest) or offset
  end

  -- page    the page's id
  -- first   the offset (Unix seconds of the page's start) to fix, if the page has none
  -- latest  the latest offset that the upload allows
  -- most    seconds by which all moves together may move the clock back
  -- Answers [the offset, the earliest that it can become]. Cost: 2 commands.
  -- Clients choose the ids of pages, so a clock is kept no longer than its use, and anew whenever it is asked for.
  function operations.clock(page, first, latest, most)
    local key = base .. 'p:' .. page
    local offset, earliest = read_clock(redis.call('GET', key))
    if not offset then
      offset, earliest = first, first - most
    elseif latest < offset and earliest < offset then
      offset = math.max(latest, earliest)
    else
      redis.call('PEXPIRE', key, milliseconds(CLOCK_KEPT))
      return { offset, earliest }
    end
    keep(key, text_of(offset) .. ' ' .. text_of(earliest), CLOCK_KEPT)
    return { offset, earliest }
  end

  -- Blocked pages (rules.md 1). Both keep a block no longer than its use, as clients choose the ids of pages.

  -- page  the page's id
  -- why   the reason's code, the filter and the rule's id
  -- Answers false. Cost: 1 write.
  function operations.block(page, why)
    keep(base .. 'b:' .. page, why, BLOCK_KEPT)
    return false
  end

  -- Answers why the page was blocked, and keeps that for longer; false: it was not, or that is forgotten.
  -- Cost: 1 or 2 commands.
  function operations.blocked(page)
    local key = base .. 'b:' .. page
    local why = redis.call('GET', key)
    if why then
      redis.call('PEXPIRE', key, milliseconds(BLOCK_KEPT))
    end
    return why
  end
end
