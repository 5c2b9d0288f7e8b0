-- Lists that change at run time (rules.md 10). They are no org's, and have a base of their own.

local function define_lists()
  -- Forgets a few rows that have ended.
  local function sweep_rows()
    local ended = redis.call('ZRANGEBYSCORE', base .. 'lists:ends', '-inf', text_of(now), 'LIMIT', 0, SWEPT)
    if #ended > 0 then
      redis.call('HDEL', base .. 'lists', unpack(ended))
      redis.call('ZREM', base .. 'lists:order', unpack(ended))
      redis.call('ZREM', base .. 'lists:ends', unpack(ended))
    end
  end

  local function read_row(value)
    local ends, changed = string.match(value or '', '^(%S+) (%S+)$')
    return tonumber(ends), tonumber(changed)
  end

  -- rows  [[list and entry, when it ends (negative: removed), when it changed], ...]; an older row changes nothing
  -- Answers the name of this store's lists: another one means that it has lost them. Cost: up to 4 commands a row.
  function operations.put_rows(rows)
    sweep_rows()
    redis.call('HSETNX', base .. 'lists', '', text_of(server_now))
    local last = redis.call('ZRANGE', base .. 'lists:order', -1, -1, 'WITHSCORES')[2]
    local number = math.max(math.floor(server_now * SECOND), tonumber(last or 0))
    for _, row in ipairs(rows) do
      local id, ends, changed = row[1], row[2], row[3]
      local known_ends, known = read_row(redis.call('HGET', base .. 'lists', id))
      if not known or changed > known or (changed == known and ends > known_ends) then
        number = number + 1
        redis.call('HSET', base .. 'lists', id, text_of(ends) .. ' ' .. text_of(changed))
        redis.call('ZADD', base .. 'lists:order', text_of(number), id)
        redis.call('ZADD', base .. 'lists:ends', text_of(math.abs(ends)), id)
      end
    end
    for _, name in ipairs({ 'lists', 'lists:order', 'lists:ends' }) do
      redis.call('PEXPIRE', base .. name, milliseconds(LISTS_KEPT))
    end
    return redis.call('HGET', base .. 'lists', '')
  end

  -- A listed user was named in a session, of which other processes may believe that it has no uid. Answers how often
  -- that was so. Cost: 2 writes.
  function operations.named()
    local times = redis.call('INCR', base .. 'lists:named')
    redis.call('PEXPIRE', base .. 'lists:named', milliseconds(LISTS_KEPT))
    return times
  end

  -- Answers [the name as above or false, the number of the last row, [[list and entry, ends, changed], ...], how often
  -- listed users were named]: at most so many rows that were put after a number, in their order. Cost: 4 commands, and
  -- 1 a row.
  function operations.rows_after(number, most)
    sweep_rows()
    local found = redis.call(
      'ZRANGEBYSCORE', base .. 'lists:order', '(' .. text_of(number), '+inf', 'WITHSCORES', 'LIMIT', 0, most
    )
    local rows, last = {}, number
    for n = 1, #found, 2 do
      local ends, changed = read_row(redis.call('HGET', base .. 'lists', found[n]))
      if changed then
        rows[#rows + 1] = { found[n], ends, changed }
      end
      last = tonumber(found[n + 1])
    end
    return { redis.call('HGET', base .. 'lists', ''), last, rows, redis.call('GET', base .. 'lists:named') }
  end
end
