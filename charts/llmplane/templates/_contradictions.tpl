{{/* Refuses values that contradict each other. The schema holds each value by itself. */}}
{{- define "llmplane.contradictions" -}}
{{- range $role := list "controller" "api" "owner" }}
  {{- with index $.Values.database $role }}
    {{- if and .url .existingSecret }}
      {{- fail (printf "database.%s has both url and existingSecret: give one of them, for the role has one URL" $role) }}
    {{- end }}
    {{- if and .url (not (regexMatch "^postgres(ql)?://.+" .url)) }}
      {{- fail (printf "database.%s.url is no PostgreSQL URL: write postgres://USER:PASSWORD@HOST/DATABASE?sslmode=verify-full" $role) }}
    {{- end }}
  {{- end }}
{{- end }}
{{- with .Values.api.tls }}
  {{- if and .certManager.enabled .existingSecret }}
    {{- fail "api.tls.existingSecret and api.tls.certManager.enabled exclude each other: give a Secret, or have cert-manager make llmplane-api-tls" }}
  {{- end }}
  {{- if and .certManager.enabled (not .certManager.issuerRef.name) }}
    {{- fail "api.tls.certManager.enabled needs api.tls.certManager.issuerRef.name: the Issuer that signs the certificate" }}
  {{- end }}
  {{- if and (not .certManager.enabled) (or .certManager.issuerRef.name .certManager.dnsNames) }}
    {{- fail "api.tls.certManager has an issuer or names and is not enabled: set api.tls.certManager.enabled=true, or take them out" }}
  {{- end }}
{{- end }}
{{- if and (has "*" .Values.namespaces) (gt (len .Values.namespaces) 1) }}
  {{- fail "namespaces has \"*\" beside other names: \"*\" alone is every namespace, names alone are those" }}
{{- end }}
{{- if eq .Values.keyring.existingSecret .Values.keyring.auditKeySecret }}
  {{- fail "keyring.existingSecret and keyring.auditKeySecret are the same Secret: audit.key needs one of its own, which the read API never gets" }}
{{- end }}
{{- $own := dict "LLMPLANE_NAMESPACES" "namespaces" "LLMPLANE_SHARED_NAMESPACES" "sharedNamespaces" "LLMPLANE_LOG_FORMAT" "log.format" "RUST_LOG" "log.level" "LLMPLANE_TLS_CERT" "api.tls" "LLMPLANE_TLS_KEY" "api.tls" "LLMPLANE_KEYRING_DIR" "keyring and disclosure" "LLMPLANE_LEASE_NAMESPACE" "the release's namespace" }}
{{- range $name, $value := .Values.settings }}
  {{- if hasKey $own $name }}
    {{- fail (printf "settings.%s is not set here: %s decides it" $name (index $own $name)) }}
  {{- end }}
  {{- if hasSuffix "DATABASE_URL" $name }}
    {{- fail (printf "settings.%s would put a password into a ConfigMap: use database.controller and database.api" $name) }}
  {{- end }}
  {{- if has $name (list "LLMPLANE_LISTEN" "LLMPLANE_ADMIN_LISTEN") }}
    {{- fail (printf "settings.%s would move a port that probes, Services and policies name: leave it out" $name) }}
  {{- end }}
{{- end }}
{{- if and (gt (int .Values.controller.replicas) 1) (eq (toString .Values.settings.LLMPLANE_LEADER_ELECTION) "false") }}
  {{- fail "controller.replicas is above 1 with settings.LLMPLANE_LEADER_ELECTION=false: the replicas would take the lead from each other; set controller.replicas=1, or leave leader election on" }}
{{- end }}
{{- if and (not .Values.podDisruptionBudget.enabled) (ne (toString .Values.podDisruptionBudget.maxUnavailable) "1") }}
  {{- fail "podDisruptionBudget.maxUnavailable is set and podDisruptionBudget.enabled is false: enable it, or take the number out" }}
{{- end }}
{{- end }}
