-- Returns what defines an operation. A call of the script defines only what it needs: each call does so anew, which
-- would take more time than most operations.
local function definition_of(name)
  if name == 'mark' or name == 'recall' then
    return define_sessions
  elseif name == 'spend' or name == 'look_spend' or name == 'move' then
    return define_rates
  elseif name == 'claim' or name == 'look_claim' or name == 'names_usage' then
    return define_names
  elseif name == 'clock' or name == 'block' or name == 'blocked' then
    return define_pages
  elseif name == 'put_rows' or name == 'rows_after' or name == 'named' then
    return define_lists
  end
  return define_units
end

-- Answers true if Redis can be written to. Cost: 1 write.
function operations.probe()
  keep(base .. 'probe', 1, PROBE_KEPT)
  return true
end

-- known  the last moment that the caller knows to have been noted here; slack: by how much that may be missing
-- Notes the moment. Answers [since when this server has our keys, this moment, when it was last found to have gone back
-- to an older state, or '', and by how many seconds]. An unknown beginning means that it was emptied. Who finds out
-- first that it has gone back notes that for the others. Moments never go back, also when another clock does. Cost: 2
-- commands.
function operations.epoch(known, slack)
  local made, noted, back, by = string.match(redis.call('GET', base .. 'epoch') or '', '^(%S+) (%S+) ?(%S*) ?(%S*)$')
  noted = tonumber(noted or nil) or 0
  if made and known - noted > slack then
    back, by = text_of(server_now), text_of(known - noted)
  end
  local latest = math.max(noted, server_now)
  made, back, by = made or text_of(server_now), back or '', by or ''
  keep(base .. 'epoch', string.format('%s %s %s %s', made, text_of(latest), back, by), EPOCH_KEPT)
  return { made, latest, back, tonumber(by) or 0 }
end

-- Carries out all requests. One that fails is answered with its error's text and harms no other. What it did before it
-- failed stays done.

local function carry_out(request)
  now, looked = request[1] or server_now, {}
  local answers = {}
  for n, operation in ipairs(request[2]) do
    local name = operation[1]
    if not operations[name] then
      definition_of(name)()
    end
    answers[n] = operations[name](unpack(operation, 2))
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
