-- Numbers, strings, tables, coroutines and a file.
print('hello from lua, ' .. table.concat(arg, ' '))
local sum = 0
for n = 1, 1000000 do sum = (sum * 31 + n) % 1000003 end
print('loop', sum)
local count, size = {}, 0
for n = 0, 199999 do
  local key = n * 7919 % 1009
  if not count[key] then size = size + 1 end
  count[key] = (count[key] or 0) + 1
end
print('hash', size, count[0])
local words = {}
for n = 1, 20000 do words[n] = 'word' .. n end
local text = table.concat(words, ' ')
local _, found = text:gsub('word(%d*7)%f[%D]', '')
print('pattern', found, (text:gsub('word(%d)(%d)', 'drow%2%1')):sub(61, 80))
local numbers = {}
for n = 1, 50000 do numbers[n] = n * 7919 % 100003 end
table.sort(numbers)
print('sort', numbers[1], numbers[25001], numbers[50000])
local function tree(depth) return depth > 0 and { tree(depth - 1), tree(depth - 1) } or {} end
local function nodes(node) return node[1] and 1 + nodes(node[1]) + nodes(node[2]) or 1 end
local total = 0
for _ = 1, 20 do total = total + nodes(tree(12)) end
print('tables', total)
local generator = coroutine.wrap(function() for n = 1, 3 do coroutine.yield(n) end return 'done' end)
print('coroutine', generator(), generator(), generator(), generator())
local path = os.tmpname()
local file = assert(io.open(path, 'w+'))
for n = 1, 50000 do file:write(n, '\n') end
file:seek('set')
local lines = 0
for line in file:lines() do lines = lines + math.tointeger(tonumber(line)) end
file:close()
print('file', lines, os.remove(path))
print('error', pcall(error, 'caught', 0))
collectgarbage()
print('collected', collectgarbage('count') < 20000, os.clock() > 0, string.format('%5.2f|%q', 2 / 3, 'x'))
