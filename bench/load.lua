-- Sends the requests of a prepared list (METHOD <tab> PATH <tab> USER) one after the other, for ever.
-- All of them are made into bytes before the clock starts; several threads would send the same list each.

local requests = {}
local last = 0

function init(args)
  local keep, size = args[2] == "keep-alive", tonumber(args[3])
  local body = size > 0 and string.rep("x", size) or nil
  for line in io.lines(args[1]) do
    local method, path, user = line:match("^(%S+)\t(%S+)\t(%S+)$")
    local headers = { ["X-User-Id"] = user, ["Host"] = wrk.headers["Host"] }
    if not keep then headers["Connection"] = "close" end
    requests[#requests + 1] = wrk.format(method, path, headers, body)
  end
end

function request()
  last = last + 1
  if last > #requests then last = 1 end
  return requests[last]
end

function done(summary, latency, _)
  local e = summary.errors
  io.write(string.format(
    'bench-result {"requests": %d, "seconds": %.6f, "p50": %.3f, "p99": %.3f, "slowest": %.3f, "failed": %d}\n',
    summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3,
    e.connect + e.read + e.write + e.timeout + e.status))
end
