-- Answers true if Redis can be written to. Cost: 1 write.
function operations.probe()
  keep(base .. 'probe', 1, PROBE_KEPT)
  return true
end

-- Carries out all requests. One that fails is answered with its error's text and harms no other. What it did before it
-- failed stays done.

local function carry_out(request)
  now, looked = request[1] or server_now, {}
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
