"""What the store does in one step: one script with a function for each question.

One, since a script that a server has forgotten is refused: of two, one could be refused while
the other, asked for later, is run. All keys of a call share one hash tag, which is ``KEYS[1]``,
so that each call is for one server of a cluster. Time is the store's.
"""

from __future__ import annotations

import hashlib

SCRIPT = r"""
local base, call = KEYS[1], redis.call
local LEASES, DEAD, EPOCHS = base .. 'leases', base .. 'dead', base .. 'epochs'
local WRITTEN = base .. 'written'
local CONNECTIONS, CHANNELS = base .. 'connections', base .. 'channels'
local REVISIONS, DUE = base .. 'revisions', base .. 'due'
local ops = {}

local function microseconds()
  local time = call('TIME')
  return time[1] * 1000000 + time[2]
end

local function milliseconds()
  return math.floor(microseconds() / 1000)
end

local function text(number)
  return string.format('%.0f', number)
end

-- The next order. It follows the clock, so that it never goes back, even if the store is flushed.
local function tick()
  local order = tonumber(call('GET', base .. 'order') or 0) + 1
  local said = text(math.max(order, microseconds()))
  call('SET', base .. 'order', said)
  return said
end

-- Whether what a node says still counts. Its epoch grows whenever an answer failed to come: what
-- it said before that may arrive after what it said then.
local function is_in(node, epoch)
  if not call('ZSCORE', LEASES, node) then return false end
  local known = tonumber(call('HGET', EPOCHS, node) or 0)
  epoch = tonumber(epoch)
  if epoch > known then call('HSET', EPOCHS, node, epoch) end
  return epoch >= known
end

-- Count what a node was told is written: a store that knows of less has lost some of it.
local function wrote(node)
  call('HINCRBY', WRITTEN, node, 1)
end

local function forget(node)
  call('HDEL', EPOCHS, node)
  call('HDEL', WRITTEN, node)
end

-- Let a node count as dead; its entries are swept.
local function bury(node)
  if call('ZREM', LEASES, node) == 1 then call('SADD', DEAD, node) end
end

local function noted(node) return base .. 'node:' .. node end
local function sockets(channel) return base .. 'sockets:' .. channel end
local function members(channel) return base .. 'members:' .. channel end
local function seats(channel, user) return base .. 'seats:' .. channel .. '\n' .. user end
local function signed(user) return base .. 'user:' .. user end

local function halves(said)
  local gap = string.find(said, '\n', 1, true)
  if not gap then return said end
  return string.sub(said, 1, gap - 1), string.sub(said, gap + 1)
end

-- Who holds a socket in a channel: node, and of a member the info and the user.
local function seat(channel, socket)
  local held = call('HGET', sockets(channel), socket)
  if not held then return end
  local node, rest = halves(held)
  if not rest then return node end
  return node, halves(rest)
end

local function depart(what, grace)
  call('ZADD', DUE, text(milliseconds() + grace), what)
end

-- Show what a user's newest socket says; return the info if it is another one now.
local function show(channel, user, info)
  local since, shown = halves(call('HGET', members(channel), user))
  if shown == info then return false end
  call('HSET', members(channel), user, since .. '\n' .. info)
  return info
end

-- Take one socket of a user; return whether it was the last one, and the info if that changed.
local function unseat(channel, user, socket, grace)
  local held = seats(channel, user)
  call('ZREM', held, socket)
  local newest = call('ZREVRANGE', held, 0, 0)[1]
  if newest then
    local _, info = seat(channel, newest)
    return false, show(channel, user, info)
  end
  call('HDEL', members(channel), user)
  depart(channel .. '\n' .. user, grace)
  return true, false
end

local function revise(channel, order)
  call('HSET', REVISIONS, channel, order)
  return order
end

-- Take a socket out of a channel, if it is this node's.
local function take(node, channel, socket, grace)
  local holder, info, user = seat(channel, socket)
  if holder ~= node then return {0, 0, 0, call('HLEN', sockets(channel)), '0', '0', '0'} end
  local order, previous = tick(), call('HGET', REVISIONS, channel) or '0'
  local revision, gone, shown = previous, false, false
  call('HDEL', sockets(channel), socket)
  call('SREM', noted(node), 'j' .. socket .. '\n' .. channel)
  if user then
    gone, shown = unseat(channel, user, socket, grace)
    if gone or shown then revision = revise(channel, order) end
  end
  local count = call('HLEN', sockets(channel))
  if count == 0 then
    call('ZREM', CHANNELS, channel)
    call('HDEL', REVISIONS, channel)
    depart(channel, grace)
  end
  local last, last_of_user = count == 0 and 1 or 0, gone and 1 or 0
  return {1, last, last_of_user, count, order, revision, previous, shown, user or false}
end

function ops.enlist(node, epoch, lease)
  call('ZADD', LEASES, 'NX', text(milliseconds() + lease), node)
  return is_in(node, epoch) and 1 or 0
end

-- Return 0 without a lease, else 1, or 2 if the node has nothing here.
-- Stay alive, unless the store has lost something that the node was told is written: a replica
-- may take over before it has heard of all. Then what is here of the node may be too much, too.
function ops.renew(node, epoch, lease, written)
  if not is_in(node, epoch) then return 0 end
  if tonumber(call('HGET', WRITTEN, node) or 0) < tonumber(written) then
    bury(node)
    return 0
  end
  call('ZADD', LEASES, text(milliseconds() + lease), node)
  return 2 - call('EXISTS', noted(node))
end

-- The same for the last time, unless the node has something here again.
function ops.retire(node, epoch, lease, written)
  local answer = ops.renew(node, epoch, lease, written)
  if answer == 2 then
    call('ZREM', LEASES, node)
    forget(node)
  end
  return answer
end

function ops.resign(node)
  bury(node)
  return 1
end

function ops.join(node, epoch, channel, socket, grace, most, is_member, user, info)
  if not is_in(node, epoch) then return {-1} end
  if is_member == '0' then user = nil end
  local known = user and call('HEXISTS', members(channel), user) == 1
  local is_new = user and not known
  if is_new and most ~= '' and call('HLEN', members(channel)) >= tonumber(most) then
    return {-2}
  end
  local _, _, before = seat(channel, socket)
  local is_first = call('HLEN', sockets(channel)) == 0
  local order, previous = tick(), call('HGET', REVISIONS, channel) or '0'
  local revision, returned, came_back = previous, 0, 0
  local held = node
  if user then held = node .. '\n' .. info .. '\n' .. user end
  call('HSET', sockets(channel), socket, held)
  call('SADD', noted(node), 'j' .. socket .. '\n' .. channel)
  if before and before ~= user then
    local gone, shown = unseat(channel, before, socket, grace)
    if gone or shown then revision = revise(channel, order) end
  end
  if is_first then
    call('ZADD', CHANNELS, 0, channel)
    returned = call('ZREM', DUE, channel)
  end
  if user then call('ZADD', seats(channel, user), order, socket) end
  if is_new then
    call('HSET', members(channel), user, order .. '\n' .. info)
    came_back = call('ZREM', DUE, channel .. '\n' .. user)
  end
  if is_new or user and show(channel, user, info) then revision = revise(channel, order) end
  local count = call('HLEN', sockets(channel))
  wrote(node)
  return {
    1, is_first and 1 or 0, is_new and 1 or 0, count, order, revision, previous, returned, came_back
  }
end

function ops.leave(node, epoch, channel, socket, grace)
  if is_in(node, epoch) then
    local left = take(node, channel, socket, grace)
    if left[1] == 1 then wrote(node) end
    return left
  end
  return {0, 0, 0, call('HLEN', sockets(channel)), '0', '0', '0'}
end

function ops.connect(node, epoch, socket, capacity)
  if not is_in(node, epoch) then return -1 end
  if capacity ~= '' and call('HEXISTS', CONNECTIONS, socket) == 0
    and call('HLEN', CONNECTIONS) >= tonumber(capacity) then return -2 end
  call('HSET', CONNECTIONS, socket, node)
  call('SADD', noted(node), 'c' .. socket)
  wrote(node)
  return 1
end

local function hang_up(node, socket)
  if call('HGET', CONNECTIONS, socket) ~= node then return false end
  call('HDEL', CONNECTIONS, socket)
  call('SREM', noted(node), 'c' .. socket)
  return true
end

function ops.disconnect(node, epoch, socket)
  if is_in(node, epoch) then hang_up(node, socket) end
  return 1
end

function ops.sign_in(node, epoch, user, socket)
  if not is_in(node, epoch) then return -1 end
  local was_offline = call('EXISTS', signed(user)) == 0
  call('HSET', signed(user), socket, node)
  call('SADD', noted(node), 's' .. socket .. '\n' .. user)
  wrote(node)
  return was_offline and 1 or 0
end

-- Return whether a socket of a user is out now, and whether that was the last one.
local function unsign(node, user, socket)
  if call('HGET', signed(user), socket) ~= node then return false, false end
  call('HDEL', signed(user), socket)
  call('SREM', noted(node), 's' .. socket .. '\n' .. user)
  return true, call('EXISTS', signed(user)) == 0
end

function ops.sign_out(node, epoch, user, socket)
  if not is_in(node, epoch) then return 0 end
  local _, is_last = unsign(node, user, socket)
  return is_last and 1 or 0
end

-- Undo one thing that a dead node did, unless another one has done it since.
local function undo(node, entry, grace)
  local kind, rest = string.sub(entry, 1, 1), string.sub(entry, 2)
  local socket, name = halves(rest)
  if kind == 'c' then return hang_up(node, socket) and {kind, socket} or nil end
  if kind == 's' then
    local is_out, is_last = unsign(node, name, socket)
    return is_out and {kind, socket, name, is_last and 1 or 0} or nil
  end
  local left = take(node, name, socket, grace)
  return left[1] == 1 and {kind, socket, name, left} or nil
end

-- Move nodes whose time is over to the dead. Not if nobody looked for long: then the store was
-- away, and nobody could renew.
local function expire(lease)
  local time = milliseconds()
  local last = tonumber(call('GET', base .. 'swept') or 0)
  call('SET', base .. 'swept', text(time))
  for _, node in ipairs(call('ZRANGEBYSCORE', LEASES, '-inf', text(time))) do
    if time - last > lease / 2 then
      call('ZADD', LEASES, text(time + lease), node)
    else
      bury(node)
    end
  end
end

function ops.reap(lease, batch, grace)
  local found, left = {}, tonumber(batch)
  expire(tonumber(lease))
  while left > 0 do
    local node = call('SRANDMEMBER', DEAD)
    if not node then break end
    local entries = call('SPOP', noted(node), left)
    for _, entry in ipairs(entries) do found[#found + 1] = undo(node, entry, grace) end
    if #entries < left then
      call('SREM', DEAD, node)
      forget(node)
    end
    left = left - #entries
  end
  local is_idle = call('EXISTS', LEASES, DEAD, DUE) == 0
  if is_idle then call('DEL', base .. 'swept', base .. 'order', EPOCHS, WRITTEN) end
  return {left == 0 and 1 or 0, is_idle and 1 or 0, found}
end

function ops.departed(batch)
  local due = call('ZRANGEBYSCORE', DUE, '-inf', text(milliseconds()), 'LIMIT', 0, batch)
  for _, what in ipairs(due) do call('ZREM', DUE, what) end
  return due
end

function ops.lead(node, patience)
  local leader = call('GET', base .. 'sweeper')
  if leader and leader ~= node then return 0 end
  call('SET', base .. 'sweeper', node, 'PX', patience)
  return 1
end

function ops.follow(node)
  if call('GET', base .. 'sweeper') == node then call('DEL', base .. 'sweeper') end
  return 1
end

function ops.occupancy(channel)
  return {call('HLEN', sockets(channel)), call('HLEN', members(channel))}
end

function ops.channels(from, to, batch)
  local found = {}
  for _, channel in ipairs(call('ZRANGEBYLEX', CHANNELS, from, to, 'LIMIT', 0, batch)) do
    found[#found + 1] = {channel, call('HLEN', sockets(channel)), call('HLEN', members(channel))}
  end
  return found
end

function ops.members(channel)
  return {call('HGET', REVISIONS, channel) or '0', call('HGETALL', members(channel))}
end

function ops.revisions(...)
  return call('HMGET', REVISIONS, ...)
end

function ops.connections()
  return call('HLEN', CONNECTIONS)
end

function ops.online(...)
  local found = {}
  for number, user in ipairs({...}) do found[number] = call('EXISTS', signed(user)) end
  return found
end

function ops.recall(channel)
  local kept = base .. 'cache:' .. channel
  return {call('GET', kept), call('PTTL', kept)}
end

return ops[ARGV[1]](unpack(ARGV, 2))
"""

SHA = hashlib.sha1(SCRIPT.encode()).hexdigest()  # noqa: S324 - it is the script's name
