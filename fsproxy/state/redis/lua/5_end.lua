-- The clock of a page (rules.md 2): fixed at the first upload's offset, moved back by a later upload that shows that it
-- was too late, by `most` seconds in all. Answers the offset, and the earliest that it can become.

local function read_clock(value)
  local offset, earliest = string.match(value or '', '^(%S+) ?(%S*)$')
  offset = tonumber(offset)
  -- A version before this one kept the offset alone, and moved no clock.
  return offset, tonumber(earliest) or offset
end

-- Clients choose the ids of pages: a clock is kept no longer than its use, and anew when it is asked for.
local CLOCK_LIFE = 900

function operations.clock(page, first, latest, most)
  local key = base .. 'p:' .. page
  local offset, earliest = read_clock(redis.call('GET', key))
  if not offset then
    offset, earliest = first, first - most
  elseif latest < offset and earliest < offset then
    offset = math.max(latest, earliest)
  else
    redis.call('PEXPIRE', key, milliseconds(CLOCK_LIFE))
    return { offset, earliest }
  end
  keep(key, text_of(offset) .. ' ' .. text_of(earliest), CLOCK_LIFE)
  return { offset, earliest }
end

-- Whether Redis is well: it can be written to.
function operations.probe()
  keep(base .. 'probe', 1, 10)
  return true
end

-- All of it. A request that fails is answered with why, and harms no other; what it did before stays done.

local function carry_out(request)
  now = request[1] or server_now
  local answers = {}
  for n, operation in ipairs(request[2]) do
    answers[n] = operations[operation[1]](unpack(operation, 2))
  end
  return answers
end

local answers = {}
for n, request in ipairs(cmsgpack.unpack(ARGV[1])) do
  local done, result = pcall(carry_out, request)
  if done then
    answers[n] = result
  else
    answers[n] = type(result) == 'table' and result.err or tostring(result)
  end
end
for _, last in ipairs(finish) do
  last()
end
return cmsgpack.pack({ server_now, answers })
