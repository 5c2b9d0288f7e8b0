-- The clock of a page: the first upload's offset stands (rules.md 2). Answers the one that stands.

function operations.clock(page, offset)
  local key = base .. 'p:' .. page
  local fixed = tonumber(redis.call('GET', key) or nil)
  if fixed then
    return fixed
  end
  keep(key, text_of(offset), LIFE)
  return offset
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
