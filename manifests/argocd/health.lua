-- Health of llmplane's four resources for Argo CD. In the ConfigMap argocd-cm:
--   resource.customizations.health.llmplane.dev_LlmProvider: | (this file; the same for the other kinds)
local hs = { status = "Progressing", message = "waiting for the first verdict" }

if obj.status == nil or obj.status.conditions == nil then
  return hs
end
if obj.status.observedGeneration ~= obj.metadata.generation then
  hs.message = "waiting for the controller to see this generation"
  return hs
end

for _, condition in ipairs(obj.status.conditions) do
  if condition.type == "Ready" then
    hs.message = condition.reason .. ": " .. condition.message
    if condition.status == "True" then
      -- Also where it is switched off on purpose: a sync waits for Healthy or Degraded, and
      -- Suspended would hold it up for ever. The message says that it is off.
      hs.status = "Healthy"
    elseif condition.status == "False" then
      hs.status = "Degraded"
    end
  end
end

return hs
