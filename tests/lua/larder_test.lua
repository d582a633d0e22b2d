-- contrib/lua/larder.lua outside Slurm: what becomes of a job_desc. Speaks TAP; run from the top as
-- lua5.x tests/lua/larder_test.lua (tests/run unit does, with each Lua that Slurm may be linked with).
package.path = "contrib/lua/?.lua;" .. package.path
local larder = require "larder"

local said
slurm = {
	SUCCESS = 0, ERROR = -1, NO_VAL = 4294967294,
	log_user = function(format, ...) said = string.format(format, ...) end,
	log_error = function(format, ...) said = "log: " .. string.format(format, ...) end,
}

local D = "0123456701234567012345670123456701"
D = D:sub(1, 32)
local file = os.tmpname()
larder.features_file = file

local function put(text)
	local f = assert(io.open(file, "w"))
	f:write(text)
	f:close()
end

local function features(lines, age)
	put("# larder-sched features 1\nwritten " .. os.time() - (age or 0) .. "\n" .. lines .. "end\n")
end

-- A job_desc as sbatch sends it. more: fields; more.env: other variables.
local function job(dataset, more)
	local j = { min_nodes = slurm.NO_VAL, num_tasks = slurm.NO_VAL, ntasks_per_node = 65534, spank_job_env = {} }
	if dataset then j.spank_job_env[0] = "_SLURM_SPANK_OPTION_larder_dataset=" .. dataset end
	for k, v in pairs(more or {}) do
		if k == "env" then
			for i, text in ipairs(v) do j.spank_job_env[i] = text end
		elseif k == "placement" then
			j.spank_job_env[10] = "_SLURM_SPANK_OPTION_larder_dataset_placement=" .. v
		else
			j[k] = v
		end
	end
	return j
end

local function equal(got, want)
	if got ~= want then error("got " .. tostring(got) .. ", expected " .. tostring(want), 2) end
end

-- Submits, expects success, gives the job back.
local function submitted(dataset, more)
	local j = job(dataset, more)
	said = nil
	equal(larder.submit(j), slurm.SUCCESS)
	equal(said, nil)
	return j
end

local THREE = "a v1 ds:a:v1 3 " .. D .. "\na v2 ds:a:v2 1 " .. D .. "\nb v1 ds:b:v1 2 " .. D .. "\nalias a latest v2\n"
local tests = {}
local function test(name, fn) tests[#tests + 1] = { name, fn } end

test("a job without datasets is left as it is", function()
	features(THREE)
	for _, j in ipairs({ submitted(nil), submitted("none") }) do
		equal(j.prefer, nil)
		equal(j.admin_comment, nil)
	end
	local bare = { }
	equal(larder.submit(bare), slurm.SUCCESS)
end)

test("a dataset that nodes hold is preferred, and told in admin_comment", function()
	features(THREE)
	local j = submitted("a:v1")
	equal(j.prefer, "ds:a:v1")
	equal(j.features, nil)
	equal(j.admin_comment, "larder=a:v1;")
end)

test("no version is what the file calls latest, or what the submission found", function()
	features(THREE)
	equal(submitted("a").prefer, "ds:a:v2")
	local j = submitted("a/train", { env = { "LARDER_FIXED=a:v1@" .. D } })
	equal(j.prefer, "ds:a:v1")
	equal(j.admin_comment, "larder=a:v1@" .. D .. "/train;")
	equal(submitted("a", { env = { "SPANK_LARDER_FIXED=a:v1@" .. D } }).prefer, "ds:a:v1")
	equal(submitted("a", { env = { "LARDER_FIXED=$(id)" } }).prefer, "ds:a:v2")
	features("a v1 ds:a:v1 1 " .. D .. "\nalias a stable v1\n")
	equal(submitted("a:stable").prefer, "ds:a:v1")
	equal(submitted("a").prefer, nil)
end)

test("another digest is another dataset", function()
	features(THREE)
	equal(submitted("a:v1@01234567").prefer, "ds:a:v1")
	equal(submitted("a:v1@ffffffff").prefer, nil)
	equal(submitted("a:v1", { env = { "LARDER_FIXED=a:v1@ffffffffffffffffffffffffffffffff" } }).prefer, nil)
end)

test("what no node holds, and a user's own, are not asked for", function()
	features(THREE .. "c v1 ds:c:v1 0 " .. D .. "\n")
	equal(submitted("c:v1").prefer, nil)
	equal(submitted("d").prefer, nil)
	local j = submitted("mine=/data/my files/a%2Cb,a:v1")
	equal(j.prefer, "ds:a:v1")
	equal(j.admin_comment, "larder=mine=/data/my%20files/a%2Cb,a:v1;")
end)

test("names that are words of the file's own are no trap", function()
	features("alias v3 ds:alias:v3 1 " .. D .. "\nalias v3 latest v3\nend v1 ds:end:v1 1 " .. D .. "\n")
	equal(submitted("alias:v3").prefer, "ds:alias:v3")
	equal(submitted("end:v1").prefer, "ds:end:v1")
	equal(submitted("written:1").prefer, nil)
end)

test("the user's constraint is kept in prefer", function()
	features(THREE)
	equal(submitted("a:v1", { features = "gpu&ib" }).prefer, "gpu&ib&ds:a:v1")
	equal(submitted("a:v1", { features = "" }).prefer, "ds:a:v1")
	for _, constraint in ipairs({ "a|b", "[x*1&y*2]", "x*2", "(a&b)", "a,b", "!a", "a b" }) do
		local j = submitted("a:v1", { features = constraint })
		equal(j.prefer, nil)
		equal(j.features, constraint)
		equal(j.admin_comment, "larder=a:v1;")
	end
end)

test("the user's own prefer and node list are left alone", function()
	features(THREE)
	local j = submitted("a:v1", { prefer = "fast" })
	equal(j.prefer, "fast")
	equal(j.admin_comment, "larder=a:v1;larder-keep-prefer;")
	equal(submitted("a:v1", { req_nodes = "n1" }).prefer, nil)
end)

test("off does nothing; require is a constraint where enough nodes hold it", function()
	features(THREE)
	equal(submitted("a:v1", { placement = "off" }).prefer, nil)
	local j = submitted("a:v1", { placement = "require", features = "gpu" })
	equal(j.features, "gpu&ds:a:v1")
	equal(j.prefer, nil)
	equal(submitted("a:v1", { placement = "require", min_nodes = 4, features = "gpu" }).features, "gpu")
	equal(submitted("d", { placement = "require" }).features, nil)
	equal(submitted("a:v1", { env = { "_SLURM_SPANK_OPTION_larder_dataset_mode=bypass" } }).prefer, nil)
end)

test("more nodes than hold it: left alone, for prefer is all or nothing", function()
	features(THREE)
	equal(submitted("a:v1", { min_nodes = 3 }).prefer, "ds:a:v1")
	equal(submitted("a:v1", { min_nodes = 4 }).prefer, nil)
	equal(submitted("a:v1", { num_tasks = 8, ntasks_per_node = 2 }).prefer, nil)
	equal(submitted("a:v1", { num_tasks = 6, ntasks_per_node = 2 }).prefer, "ds:a:v1")
end)

test("several datasets: the one that fewest nodes hold, where the file only counts", function()
	features(THREE)
	equal(submitted("a:v1,b:v1").prefer, "ds:b:v1")
	equal(submitted("a:v1,b:v1", { min_nodes = 3 }).prefer, "ds:a:v1")
	equal(submitted("a:v1,d").prefer, "ds:a:v1")
end)

test("several datasets: the most that enough nodes hold together, where it says who", function()
	local function line(name, nodes, holders) return name .. " v1 ds:" .. name .. " " .. nodes .. " " .. D .. " " .. holders .. "\n" end
	features(line("a", 4, "0-2,9") .. line("b", 3, "1-2,5") .. line("c", 1, "5") .. line("d", 1, "7"))
	equal(submitted("a:v1,b:v1").prefer, "ds:b&ds:a")
	equal(submitted("a:v1,b:v1", { min_nodes = 2 }).prefer, "ds:b&ds:a")
	equal(submitted("a:v1,b:v1", { min_nodes = 3 }).prefer, "ds:b")
	equal(submitted("a:v1,c:v1").prefer, "ds:c")
	equal(submitted("a:v1,b:v1,c:v1").prefer, "ds:c&ds:b")
	equal(submitted("b:v1,c:v1,d:v1").prefer, "ds:c&ds:b")
	features(line("a", 2, "0-99999999999") .. line("b", 1, "3-1"))
	equal(submitted("a:v1,b:v1").prefer, "ds:a")
end)

test("what Slurm would not take is left away: 1,024 bytes in all", function()
	local lines, names = "", {}
	for i = 1, 32 do
		names[i] = ("n%063d"):format(i)
		lines = lines .. names[i] .. " v ds:" .. names[i] .. ":v 5 " .. D .. " 0-4\n"
	end
	features(lines)
	local prefer = submitted(table.concat(names, ":v,") .. ":v", { features = ("f"):rep(300) }).prefer
	equal(#prefer <= 1024, true)
	equal(select(2, prefer:gsub("&ds:", "")), 10)
	equal(submitted(names[1] .. ":v", { features = ("f"):rep(1000) }).prefer, nil)
end)

test("a file that is missing, stale, of the future, cut, foreign, huge or no file means no affinity", function()
	local function none() equal(submitted("a:v1").prefer, nil) end
	features(THREE, 599)
	equal(submitted("a:v1").prefer, "ds:a:v1")
	features(THREE, 660)
	none()
	features(THREE, -3600)
	none()
	put("# larder-sched features 1\nwritten " .. os.time() .. "\n" .. THREE)
	none()
	put("# larder-sched features 2\nwritten " .. os.time() .. "\n" .. THREE .. "end\n")
	none()
	put("\0\255garbage\nend\n")
	none()
	put("")
	none()
	features("a v1 ds:a:v1&x 1 " .. D .. "\na v1 evil 1 " .. D .. "\na v1 ds:a:v1 -1 " .. D .. "\na v1\n")
	none()
	local max = larder.features_max
	larder.features_max = 100
	features(THREE)
	none()
	larder.features_max = max
	for _, path in ipairs({ "/nonexistent/features", "/", "/dev/zero", "/dev/null" }) do
		larder.features_file = path
		none()
	end
	larder.features_file = file
end)

test("a file that changed is read again, whatever was kept", function()
	features(THREE, 5)
	equal(submitted("a:v1").prefer, "ds:a:v1")
	features(THREE, 4)
	equal(submitted("a:v1").prefer, "ds:a:v1")
	features("", 4)
	equal(submitted("a:v1").prefer, nil)
	features((THREE:gsub("ds:a:v1", "ds:a:v9")), 3)
	equal(submitted("a:v1").prefer, "ds:a:v9")
	features(THREE, 0)
	equal(submitted("a:v1").prefer, "ds:a:v1")
	features((THREE:gsub("ds:a:v1", "ds:a:v9")), 0)
	equal(submitted("a:v1").prefer, "ds:a:v9")
	features(THREE, 700)
	equal(submitted("a:v1").prefer, nil)
end)

test("a bad option is rejected with a sentence", function()
	for text, words in pairs({
		["A:v1"] = "bad dataset name \"A\"", ["a,a"] = "named twice", ["a:v1/../x"] = "component ..",
		["x=rel"] = "absolute path", ["a\27[0m"] = "printable", [""] = "empty",
	}) do
		said = nil
		local j = job(text, { prefer = "p" })
		equal(larder.submit(j), slurm.ERROR)
		equal(said:sub(1, 8), "larder: ")
		if not said:find(words, 1, true) or said:find("[^\32-\126]") then error(said) end
		equal(j.admin_comment, nil)
	end
	equal(larder.submit(job("a", { placement = "here" })), slurm.ERROR)
	equal(said, "larder: --dataset-placement=\"here\": it takes one of prefer, require, off")
end)

test("only our own token of admin_comment is replaced", function()
	features(THREE)
	equal(submitted("a:v1", { admin_comment = "ticket 7" }).admin_comment, "ticket 7 larder=a:v1;")
	equal(submitted("a:v1", { admin_comment = "x larder=b;y=1;" }).admin_comment, "x y=1; larder=a:v1;")
	equal(submitted("a:v1", { admin_comment = "larder=b;larder-keep-prefer;" }).admin_comment, "larder=a:v1;")
	equal(submitted("a:v1", { admin_comment = "nolarder=b;" }).admin_comment, "nolarder=b; larder=a:v1;")
	local long = submitted("x=/" .. ("d/"):rep(2000) .. "y,a:v1").admin_comment
	equal(long:sub(-6), ",a:v1;")
	equal(submitted("y=/" .. ("\195\164/"):rep(1000) .. "z,a:v1").admin_comment, "larder=a:v1;")
end)

-- record, change -> the job_desc of the update
local function modified(record, change)
	said = nil
	equal(larder.modify(change, record), slurm.SUCCESS)
	equal(said, nil)
	return change
end

test("a new constraint is joined again, or becomes the prefer", function()
	features(THREE)
	local record = job("a:v1", { admin_comment = "larder=a:v1;", min_nodes = 1 })
	equal(modified(record, { features = "ib" }).prefer, "ib&ds:a:v1")
	equal(modified(record, { features = "a|b" }).prefer, "a|b")
	equal(modified(record, { features = "" }).prefer, "ds:a:v1")
	equal(modified(record, { time_limit = 5 }).prefer, nil)
	equal(modified(record, { features = "ib", prefer = "x" }).prefer, "x")
	record.admin_comment = "larder=a:v1;larder-keep-prefer;"
	equal(modified(record, { features = "ib" }).prefer, nil)
	equal(modified(job(nil), { features = "ib" }).prefer, nil)
	equal(modified(job("a:v1", { placement = "off" }), { features = "ib" }).prefer, nil)
	local required = job("a:v1", { placement = "require" })
	equal(modified(required, { features = "ib" }).features, "ib&ds:a:v1")
	equal(modified(required, { features = "a|b" }).features, "a|b")
	-- as larder-sched lets it go
	local freed = modified(required, { features = "", admin_comment = "larder=a:v1;larder-keep-prefer;" })
	equal(freed.features, "")
	equal(freed.admin_comment, "larder=a:v1;larder-keep-prefer;")
end)

test("an administrator's new comment keeps the datasets", function()
	local record = job("a:v1", { admin_comment = "larder=a:v1;" })
	equal(modified(record, { admin_comment = "note" }).admin_comment, "note larder=a:v1;")
	equal(modified(record, {}).admin_comment, nil)
	record.admin_comment = "larder=a:v1;larder-keep-prefer;"
	equal(modified(record, { admin_comment = "note" }).admin_comment, "note larder=a:v1;larder-keep-prefer;")
	equal(modified(job(nil), { admin_comment = "note" }).admin_comment, "note")
end)

test("a fault of ours is logged and the job goes on", function()
	said = nil
	local broken = setmetatable({}, { __index = function() error("no such field") end })
	equal(larder.submit(broken), slurm.SUCCESS)
	equal(said:sub(1, 16), "log: larder: job")
end)

local failed = 0
print("1.." .. #tests)
for i, t in ipairs(tests) do
	local ok, why = pcall(t[2])
	print((ok and "ok " or "not ok ") .. i .. " - " .. _VERSION .. ": " .. t[1])
	if not ok then
		print("# " .. tostring(why))
		failed = failed + 1
	end
end
os.remove(file)
os.exit(failed == 0 and 0 or 1)
