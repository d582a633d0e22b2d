--[[
What slurmctld does for --dataset: the option is checked once more where the user's own client has no say, jobs
are sent to nodes that hold their datasets, and the datasets are written where larder-sched can read them.
It must not reject what the plugin takes, hold slurmctld up, or fail a job for a fault of its own.
Called by job_submit.lua, this project's or the site's own. Lua 5.1 to 5.4, Slurm 22.05 to 25.05.

    local larder = require "larder"
    larder.submit(job_desc)            -- slurm.SUCCESS or slurm.ERROR, the user has been told
    larder.modify(job_desc, job_rec)

job_submit runs while slurmctld holds its locks: one file is read, of bounded size, and nothing is parsed but the lines of
the job's own datasets.
--]]

local larder = {
	features_file = "/run/larder-sched/features",
	features_max = 8 * 1024 * 1024, -- bytes; a larger file is not read
	max_age_s = 600,                -- an older file is larder-sched's that is down
	placement = "prefer",           -- for jobs that do not say
}

local SPECS_MAX, SPEC_TEXT_MAX, PATH_MAX = 32, 16384, 4095 -- as in larder/spec.h and text.h
local PREFER_MAX = 1024         -- bytes that Slurm takes
local COMMENT_MAX = 4096        -- bytes that our token may have in admin_comment
local SETS_MAX = 64             -- different holdings of nodes that are compared
local OPTION = "_SLURM_SPANK_OPTION_larder_"
-- In admin_comment: the placement is not ours to change (any more): --prefer was the user's own, or larder-sched took the
-- features of "require" out again, because no node holds the datasets now.
local KEEP = "larder-keep-prefer;"

-- --- what --dataset= may be: daemon/lib/spec.c and its neighbours, rule by rule ---

-- Bytes of the printable UTF-8 character at i; 0 for control characters and for what is none.
local function character(text, i)
	local a, b, c, d = text:byte(i, i + 3)
	local function tail(x) return x and x >= 0x80 and x <= 0xbf end
	if a < 0x80 then return (a < 0x20 or a == 0x7f) and 0 or 1 end
	if a < 0xc2 or a > 0xf4 or not tail(b) then return 0 end
	if a == 0xc2 and b < 0xa0 then return 0 end
	if a < 0xe0 then return 2 end
	if (a == 0xe0 and b < 0xa0) or (a == 0xed and b > 0x9f) or not tail(c) then return 0 end
	if a < 0xf0 then return 3 end
	if (a == 0xf0 and b < 0x90) or (a == 0xf4 and b > 0x8f) or not tail(d) then return 0 end
	return 4
end

local function printable(text)
	if not text:find("[\1-\31\127-\255]") then return true end
	local i = 1
	while i <= #text do
		local n = character(text, i)
		if n == 0 then return false end
		i = i + n
	end
	return true
end

-- Text of a user's for a sentence: short, and nothing that a terminal obeys.
local function quote(text)
	local short = text:sub(1, 80):gsub("[^\32-\126]", "?")
	return '"' .. short .. (#text > 80 and "..." or "") .. '"'
end

local function name_fault(name)
	if name == "none" then return '"none" is no dataset\'s name; alone it asks for nothing' end
	if #name <= 64 and name:find("^[a-z0-9][a-z0-9._-]*$") then return nil end
	return "bad dataset name " .. quote(name) .. ": allowed are a-z, 0-9, '.', '_' and '-', the first a letter or digit, at most 64"
end

local function version_fault(version)
	if #version <= 64 and version:find("^[A-Za-z0-9][A-Za-z0-9._-]*$") then return nil end
	return "bad version " .. quote(version) .. ": allowed are A-Z, a-z, 0-9, '.', '_' and '-', the first a letter or digit, at most 64"
end

local function digest_fault(digest)
	if #digest >= 8 and #digest <= 32 and digest:find("^[0-9a-f]+$") then return nil end
	return "bad digest " .. quote(digest) .. ": 8 to 32 of the digits 0-9 and a-f"
end

local function path_fault(path)
	if path == "" then return "it is empty" end
	if path:sub(1, 1) == "/" then return "it is absolute" end
	for part in (path .. "/"):gmatch("([^/]*)/") do
		if part == "" then return "it has a // or ends in /" end
		if #part > 255 then return "a component is over 255 bytes" end
		if part == "." or part == ".." then return "it has a component " .. part end
	end
	return #path > PATH_MAX and "it is over 4095 bytes" or nil
end

local function url_fault(rest)
	local host = rest:match("^[^/?#]*")
	if host == "" or rest:sub(1, 1) == ":" then return "no host or bucket behind ://" end
	if host:find("@", 1, true) then return "leave user and password out; credentials are configured" end
	if rest:find('[ \\"<>]') then return "spaces, quotes and backslashes are percent-encoded in a URL" end
	return nil
end

local function origin_fault(origin)
	if #origin > PATH_MAX then return "it is over 4095 bytes" end
	for _, scheme in ipairs({ "https://", "http://", "s3://" }) do
		if origin:sub(1, #scheme) == scheme then return url_fault(origin:sub(#scheme + 1)) end
	end
	if origin:sub(1, 1) ~= "/" then return "write an absolute path, or a URL with http://, https:// or s3://" end
	if origin == "/" then return "the root directory is no dataset" end
	return path_fault(origin:sub(2))
end

-- Both answer the part, or nil and the fault.
local function take_subset(name, text)
	if #text > 1 and text:sub(-1) == "/" then text = text:sub(1, -2) end
	local fault = text == "" and "no subset behind the slash" or path_fault(text)
	if fault then return nil, "the subset of dataset " .. quote(name) .. ": " .. quote(text) .. ": " .. fault end
	return text
end

local function parse_own(spec, origin)
	local from = 1
	if origin:sub(1, 1) ~= "/" then
		local _, behind = origin:find("://", 1, true)
		from = (behind or 0) + 1
	end
	local subset
	local at = origin:find("//", from, true)
	if at then
		subset = origin:sub(at + 2)
		origin = origin:sub(1, at - 1)
	end
	if #origin - from >= 1 and origin:sub(-1) == "/" then origin = origin:sub(1, -2) end
	local fault = origin_fault(origin)
	if fault then return nil, "dataset " .. quote(spec.name) .. ": bad origin " .. quote(origin) .. ": " .. fault end
	spec.origin = origin
	if subset then
		spec.subset, fault = take_subset(spec.name, subset)
		if fault then return nil, fault end
	end
	return spec
end

local function parse_catalog(spec, rest)
	local fault
	if rest:sub(1, 1) == ":" then
		spec.version, rest = rest:match("^:([^@/]*)(.*)$")
		fault = version_fault(spec.version)
		if fault then return nil, fault end
	end
	if rest:sub(1, 1) == "@" then
		spec.digest, rest = rest:match("^@([^/]*)(.*)$")
		fault = digest_fault(spec.digest)
		if fault then return nil, fault end
	end
	if rest == "" then return spec end
	spec.subset, fault = take_subset(spec.name, rest:sub(2))
	if fault then return nil, fault end
	return spec
end

-- A spec as { name, version, digest, subset } or { name, origin, subset }; nil and a sentence.
local function parse_spec(text)
	if text == "" then return nil, "an empty name between the commas of --dataset" end
	if not printable(text) then return nil, "bad dataset " .. quote(text) .. ": only printable UTF-8 is allowed" end
	if text:gsub("%%2C", ""):gsub("%%25", ""):find("%", 1, true) then
		return nil, "bad dataset " .. quote(text) .. ": write a percent sign as %25 and a comma as %2C"
	end
	text = text:gsub("%%2[C5]", { ["%2C"] = ",", ["%25"] = "%" })
	local name, rest = text:match("^([^=:@/]*)(.*)$")
	local fault = name_fault(name)
	if fault then return nil, fault end
	if rest:sub(1, 1) == "=" then return parse_own({ name = name }, rest:sub(2)) end
	return parse_catalog({ name = name }, rest)
end

-- DATASET_<this>_DIR: two datasets of one job must not share it.
local function env_name(name) return (name:upper():gsub("[^A-Z0-9]", "_")) end

-- All specs of the option; {} for "none"; nil and a sentence.
function larder.parse(text)
	local specs, seen = {}, {}
	if text == "none" then return specs end
	if text == "" then return nil, "--dataset is empty; write NAME[:VERSION], or none" end
	if #text > SPEC_TEXT_MAX then return nil, "--dataset is longer than " .. SPEC_TEXT_MAX .. " bytes" end
	for item in (text .. ","):gmatch("([^,]*),") do
		if #specs == SPECS_MAX then return nil, "more than 32 datasets; a job may name 32" end
		local spec, fault = parse_spec(item)
		if not spec then return nil, fault end
		local variable = env_name(spec.name)
		if seen[variable] == spec.name then
			return nil, "dataset " .. quote(spec.name) .. " is named twice; a job has one version and one subset of a dataset"
		elseif seen[variable] then
			return nil, "datasets " .. quote(seen[variable]) .. " and " .. quote(spec.name) .. " would both be DATASET_" .. variable .. "_DIR; use one of them only"
		end
		seen[variable] = spec.name
		specs[#specs + 1] = spec
	end
	return specs
end

-- --- what larder-sched says that nodes hold ---

local HEAD = "^# larder%-sched features 1\nwritten (%d+)\n"
local kept = { head = "", size = 0, text = nil } -- slurmctld keeps a script's variables until the script changes

local function fresh(written)
	local age = os.difftime(os.time(), written)
	return age <= larder.max_age_s and age >= -60
end

-- The open file's text, or nil: too large, no ordinary file, not whole, of another format, too old. Read again only when
-- its size or its second of writing changed, and always within that second: Lua 5.1 takes 1 ms for 2,000 versions.
local function read_text(f)
	local size = f:seek("end")
	if not size or size <= 0 or size > larder.features_max or not f:seek("set") then return nil end
	local head = f:read(64) or ""
	local written = tonumber(head:match(HEAD))
	if not written or not fresh(written) then return nil end
	if kept.head == head and kept.size == size then return kept.text end
	local text = f:seek("set") and f:read(size)
	if not text or text:sub(-5) ~= "\nend\n" then return nil end
	if os.time() > written then kept = { head = head, size = size, text = text } end
	return text
end

local function read_features()
	local f = io.open(larder.features_file, "r")
	if not f then return nil end
	local text = read_text(f)
	f:close()
	return text
end

-- Each line that begins with these words, without a look at any other line.
local function lines(text, words)
	local from = 1
	return function()
		local at = text:find("\n" .. words .. " ", from, true)
		if not at then return nil end
		from = at + 1
		return text:match("^[^\n]*", from)
	end
end

-- NAME VERSION FEATURE NODES DIGEST [HOLDERS]. HOLDERS: numbers of nodes, as 0-3,7.
local function held(text, name, version, digest)
	for line in lines(text, name .. " " .. version) do
		local feature, nodes, got, more = line:match("^%S+ %S+ (ds:[A-Za-z0-9_.:-]+) (%d+) ([0-9a-f]+)(.*)$")
		nodes = tonumber(nodes)
		if nodes and nodes > 0 and got:sub(1, #digest) == digest then
			return { feature = feature, nodes = nodes, holders = more:match("^ ([0-9,-]+)$") }
		end
	end
	return nil
end

local function alias(text, name, word)
	for line in lines(text, "alias " .. name .. " " .. word) do
		local version = line:match("^alias %S+ %S+ ([A-Za-z0-9][A-Za-z0-9._-]*)$")
		if version then return version end
	end
	return nil
end

-- What is held of a spec. `fixed` is what the submission found in the catalog.
local function find(text, spec, fixed)
	if spec.origin then return nil end
	if fixed then return held(text, spec.name, fixed.version, fixed.digest or "") end
	local version = spec.version or "latest"
	local digest = spec.digest or ""
	local found = spec.version and held(text, spec.name, version, digest)
	if found then return found end
	version = alias(text, spec.name, version)
	return version and held(text, spec.name, version, digest)
end

-- --- which of them to ask for ---

-- Calls fn(number) for each of 0-3,7; the count is bounded, whatever the text says.
local function each_holder(text, fn)
	local left = 65536
	for first, last in text:gmatch("(%d+)%-?(%d*)") do
		first = tonumber(first)
		last = tonumber(last) or first
		for node = first, math.min(last, first + left) do fn(node) end
		left = left - math.max(0, last - first) - 1
		if left <= 0 then return end
	end
end

-- Which of the list each node has: node -> "1 3 ".
local function holdings(list)
	local has = {}
	for i, item in ipairs(list) do
		each_holder(item.holders, function(node) has[node] = (has[node] or "") .. i .. " " end)
	end
	return has
end

local function has_all(has, wanted)
	for i in wanted:gmatch("%d+") do
		if not (" " .. has):find(" " .. i .. " ", 1, true) then return false end
	end
	return true
end

-- The largest set that at least `want` nodes hold together; of equal ones the one on the fewest.
local function together(list, want)
	local sets, counts = {}, {}
	for _, has in pairs(holdings(list)) do
		if not counts[has] then sets[#sets + 1] = has end
		counts[has] = (counts[has] or 0) + 1
	end
	table.sort(sets, function(a, b)
		if #a ~= #b then return #a > #b end
		return a < b
	end)
	local best, best_size, best_nodes = nil, 0, 0
	for i = 1, math.min(#sets, SETS_MAX) do
		local nodes, _, size = 0, nil, select(2, sets[i]:gsub("%d+", ""))
		for has, count in pairs(counts) do
			if has_all(has, sets[i]) then nodes = nodes + count end
		end
		if nodes >= want and (size > best_size or (size == best_size and nodes < best_nodes)) then
			best, best_size, best_nodes = sets[i], size, nodes
		end
	end
	return best
end

--[[
The features to ask for, all of them on one node, or on each of `want` nodes: Slurm's prefer and constraint are all or
nothing. Where the file says who holds what, it is the largest set that enough nodes have. Where it only counts, whether
any node has two of them is not known, and asking for what none has would prefer nothing: then it is the one dataset that
the fewest nodes hold, for that is the one which a job placed elsewhere would most likely miss.
--]]
local function choose(list, want)
	local enough = {}
	for _, item in ipairs(list) do
		if item.nodes >= want then enough[#enough + 1] = item end
	end
	table.sort(enough, function(a, b)
		if a.nodes ~= b.nodes then return a.nodes < b.nodes end
		return a.feature < b.feature
	end)
	if #enough < 2 then return enough end
	for _, item in ipairs(enough) do
		if not item.holders then return { enough[1] } end
	end
	local set = together(enough, want)
	if not set then return { enough[1] } end
	local chosen = {}
	for i in set:gmatch("%d+") do chosen[#chosen + 1] = enough[tonumber(i)] end
	return chosen
end

-- Joined with the user's constraint, for prefer replaces it; nil where the constraint is more than names and "&".
local function join(constraint, chosen)
	local text = constraint or ""
	if not text:find("^[A-Za-z0-9_.:/=+#~@&-]*$") then return nil end
	local joined = 0
	for _, item in ipairs(chosen) do
		local longer = (text == "" and "" or text .. "&") .. item.feature
		if #longer <= PREFER_MAX then
			text = longer
			joined = joined + 1
		end
	end
	return joined > 0 and text or nil
end

-- --- the job ---

local function given(value) return value ~= nil and value ~= "" end

local function count(value)
	local none = slurm and slurm.NO_VAL or 4294967294
	value = tonumber(value)
	return value and value > 0 and value < none and value < 65534 and value or nil
end

-- How many nodes the job has at least.
local function nodes_of(job)
	local nodes = count(job.min_nodes) or 1
	local tasks, each = count(job.num_tasks), count(job.ntasks_per_node)
	if tasks and each then nodes = math.max(nodes, math.ceil(tasks / each)) end
	return nodes
end

local function variables(job)
	local found = {}
	for _, text in pairs(job.spank_job_env or {}) do
		local key, value = text:match("^([^=]+)=(.*)$")
		if key then found[key] = value end
	end
	return found
end

local WORDS = { prefer = true, require = true, off = true }

-- { specs, fixed = {name -> spec}, placement } of a job or its record; nil when it wants no data; nil and a sentence.
local function request_of(job)
	local env = variables(job)
	local text = env[OPTION .. "dataset"]
	if not text then return nil end
	local specs, fault = larder.parse(text)
	if not specs then return nil, fault end
	local placement = env[OPTION .. "dataset_placement"] or larder.placement
	if not WORDS[placement] then
		return nil, "--dataset-placement=" .. quote(placement) .. ": it takes one of prefer, require, off"
	end
	local fixed = {}
	for _, spec in ipairs(larder.parse(env.LARDER_FIXED or env.SPANK_LARDER_FIXED or "none") or {}) do
		if spec.version then fixed[spec.name] = spec end
	end
	if #specs == 0 or env[OPTION .. "dataset_mode"] == "bypass" then return nil end
	return { specs = specs, fixed = fixed, placement = placement }
end

-- What the job should get beside `constraint`: the joined text, or nil.
local function affinity(request, constraint, nodes)
	local text = read_features()
	if not text then return nil end
	local list = {}
	for _, spec in ipairs(request.specs) do
		list[#list + 1] = find(text, spec, request.fixed[spec.name])
	end
	return join(constraint, choose(list, nodes))
end

-- --- admin_comment ---

local function encode(text)
	return (text:gsub("[^A-Za-z0-9._:@/=-]", function(c) return ("%%%02X"):format(c:byte()) end))
end

local function spec_text(spec, fixed)
	if spec.origin then
		return encode(spec.name .. "=" .. spec.origin) .. (spec.subset and encode("//" .. spec.subset) or "")
	end
	local version = fixed and fixed.version or spec.version
	local digest = fixed and fixed.digest or spec.digest
	return spec.name .. (version and ":" .. version or "") .. (digest and "@" .. digest or "")
		.. (spec.subset and encode("/" .. spec.subset) or "")
end

-- larder=SPEC,SPEC; with as many as there is room for.
local function token(request)
	local all = ""
	for _, spec in ipairs(request.specs) do
		local text = spec_text(spec, request.fixed[spec.name])
		if #all + #text < COMMENT_MAX then all = all .. (all == "" and "" or ",") .. text end
	end
	return all ~= "" and "larder=" .. all .. ";" or nil
end

-- The comment with our tokens new in it, whatever else is there as it was.
local function comment_with(comment, text)
	local rest = (" " .. (comment or "")):gsub("([%s;])larder=[^;]*;", "%1"):gsub("([%s;])" .. KEEP:gsub("%-", "%%-"), "%1"):sub(2)
	return (rest:find("[^%s]$") and rest .. " " or rest) .. text
end

-- --- what job_submit.lua calls ---

local function submit(job)
	local request, fault = request_of(job)
	if fault then return fault end
	if not request then return nil end
	local text = token(request)
	if text and given(job.prefer) then text = text .. KEEP end
	if text then job.admin_comment = comment_with(job.admin_comment, text) end
	if request.placement == "off" or given(job.prefer) or given(job.req_nodes) then return nil end
	local joined = affinity(request, job.features, nodes_of(job))
	if not joined then return nil end
	if request.placement == "require" then
		job.features = joined
	else
		job.prefer = joined
	end
	return nil
end

--[[
An administrator's new comment must not lose the datasets. A new constraint must not lose to the old one in our prefer:
it is joined again, or becomes the prefer itself, which prefers nothing. (It cannot be cleared: an empty text means "as
it was".) What the user preferred is left alone.
--]]
local function modify(job, record)
	if job.admin_comment == nil and job.features == nil then return end
	local request = request_of(record)
	if not request then return end
	local keep = ((record.admin_comment or "") .. (job.admin_comment or "")):find(KEEP, 1, true)
	local text = token(request)
	if given(job.admin_comment) and text then
		job.admin_comment = comment_with(job.admin_comment, text .. (keep and KEEP or ""))
	end
	if job.features == nil or given(job.prefer) or keep or request.placement == "off" then return end
	local joined = affinity(request, job.features, nodes_of(record))
	if request.placement == "require" then
		job.features = joined or job.features
	elseif joined or given(job.features) then
		job.prefer = joined or job.features
	end
end

local function guarded(what, fn, ...)
	local ok, answer = pcall(fn, ...)
	if ok then return answer end
	slurm.log_error("%s", "larder: " .. what .. ": " .. tostring(answer) .. "; the job goes on without it")
	return nil
end

function larder.submit(job_desc)
	local fault = guarded("job_submit", submit, job_desc)
	if not fault then return slurm.SUCCESS end
	slurm.log_user("%s", "larder: " .. fault)
	return slurm.ERROR
end

function larder.modify(job_desc, job_rec)
	guarded("job_modify", modify, job_desc, job_rec)
	return slurm.SUCCESS
end

return larder
