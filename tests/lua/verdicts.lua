-- Reads texts from standard input, one a line, in hex; says for each whether larder.lua takes it as --dataset.
-- Called by tests/unit/test_lua_spec.c, which asks larder_spec_list_parse the same.
package.path = "contrib/lua/?.lua;" .. package.path
local larder = require "larder"

for line in io.lines() do
	local text = line:gsub("%x%x", function(hex) return string.char(tonumber(hex, 16)) end)
	print(larder.parse(text) and 1 or 0)
end
