-- Health of llmplane's five kinds of resources for Argo CD. In the ConfigMap argocd-cm:
--   resource.customizations.health.llmplane.dev_LlmProvider: | (this file; the same for the other kinds)
local hs = { status = "Progressing", message = "waiting for the first verdict" }

if obj.status == nil or obj.status.conditions == nil then
  return hs
end
if obj.status.observedGeneration ~= obj.metadata.generation then
  hs.message = "waiting for the controller to see this generation"
  return hs
end

local ready, stalled
for _, condition in ipairs(obj.status.conditions) do
  if condition.type == "Ready" then
    ready = condition
  elseif condition.type == "Stalled" and condition.status == "True" then
    stalled = condition
  end
end

if ready ~= nil then
  hs.message = ready.reason .. ": " .. ready.message
  if stalled ~= nil then
    hs.status = "Degraded"
  elseif ready.status == "True" then
    -- Also where it is switched off on purpose: a sync waits for Healthy or Degraded, and
    -- Suspended would hold it up for ever. The message says that it is off.
    hs.status = "Healthy"
  end
  -- False without Stalled may pass by itself: what it waits for may still be applied, or the
  -- vendor is down.
end

return hs
