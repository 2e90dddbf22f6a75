-- Health of an Application for the Application that made it: what Argo CD found of its resources. Argo CD itself has
-- had none since 1.8, so that sync waves did not wait for Applications. In the ConfigMap argocd-cm:
--   resource.customizations.health.argoproj.io_Application: | (this file)
local found = obj.status ~= nil and obj.status.health or {}
return {
  -- Argo CD has not looked at it yet.
  status = found.status or "Progressing",
  message = found.message or "",
}
