-- Sends the requests of a file in random order. In them {row} becomes the number of a random row, {next} a number that
-- was not used before, and {uuid} a random UUID. With an interval they are sent evenly paced.
local ffi = require("ffi")
ffi.cdef [[
    typedef struct { long seconds; long nanoseconds; } timespec;
    int clock_gettime(int clock, timespec *now);
]]
local rows = tonumber(os.getenv("ROWS"))
local interval_ms = tonumber(os.getenv("INTERVAL_MS"))
local templates, the_thread = {}, nil
counter = 0  -- global, for thread:get
math.randomseed(tonumber(os.getenv("SEED")))
for template in io.open(os.getenv("REQUESTS"), "rb"):read("*a"):gmatch("%Z+") do
    table.insert(templates, template)
end

local function word() return math.random(0, 65535) end
local fresh = {
    row = function() return string.format("%012d", math.random(rows)) end,
    next = function() counter = counter + 1; return string.format("%012d", counter) end,
    uuid = function()
        return string.format("%04x%04x-%04x-%04x-%04x-%04x%04x%04x",
            word(), word(), word(), word(), word(), word(), word(), word())
    end,
}

function request()
    local filled = templates[math.random(#templates)]:gsub("{(%a+)}", function(name) return fresh[name]() end)
    return filled
end

local now, slot_ms = ffi.new("timespec"), nil
local function pause()
    ffi.C.clock_gettime(1, now)
    local now_ms = tonumber(now.seconds) * 1000 + tonumber(now.nanoseconds) / 1e6
    slot_ms = (slot_ms or now_ms) + interval_ms
    return math.max(0, math.floor(slot_ms - now_ms))
end
if interval_ms > 0 then delay = pause end

function setup(thread) the_thread = thread end  -- there is one

function done(summary, latency)
    local errors = summary.errors
    local failed = errors.connect + errors.read + errors.write + errors.timeout + errors.status
    local ms = function(percentile) return latency:percentile(percentile) / 1000 end
    io.write(string.format("\nRESULT %d %d %d %d %f %f %f\n", summary.requests, summary.duration, failed,
        the_thread:get("counter"), ms(50), ms(90), ms(99)))
end
