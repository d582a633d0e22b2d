--[[
The whole job_submit.lua of a site that has none of its own: copy it beside slurm.conf, and say
JobSubmitPlugins=lua there. A site that has one adds the three lines with "larder" to it.
It must not do anything itself: what it calls is in larder.lua.
--]]

package.path = "/usr/share/larder/?.lua;" .. package.path
local larder = require "larder"

function slurm_job_submit(job_desc, part_list, submit_uid)
	return larder.submit(job_desc)
end

function slurm_job_modify(job_desc, job_rec, part_list, modify_uid)
	return larder.modify(job_desc, job_rec)
end

return slurm.SUCCESS
