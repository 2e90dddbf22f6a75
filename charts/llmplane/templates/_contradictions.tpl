{{/* Refuses values that contradict each other. The schema holds each value by itself; src/preflight/contradictions.rs
     says the same before anything is rendered, and a test compares. */}}
{{- define "llmplane.contradictions" -}}
{{- include "llmplane.contradictions.database" . }}
{{- include "llmplane.contradictions.tls" . }}
{{- include "llmplane.contradictions.secrets" . }}
{{- include "llmplane.contradictions.namespaces" . }}
{{- include "llmplane.contradictions.settings" . }}
{{- include "llmplane.contradictions.replicas" . }}
{{- end }}

{{- define "llmplane.contradictions.database" -}}
{{- $users := dict }}
{{- range $role := list "controller" "api" "owner" }}
  {{- with index $.Values.database $role }}
    {{- if and .url .existingSecret }}
      {{- fail (printf "database.%s has both url and existingSecret: give one of them, for the role has one URL" $role) }}
    {{- end }}
    {{- if and .url (not (regexMatch "^postgres(ql)?://.+" .url)) }}
      {{- fail (printf "database.%s.url is no PostgreSQL URL: write postgres://USER:PASSWORD@HOST/DATABASE?sslmode=verify-full" $role) }}
    {{- end }}
    {{- with include "llmplane.databaseUser" .url }}
      {{- if hasKey $users . }}
        {{- fail (printf "database.%s.url and database.%s.url have the same user: give each the URL of its own role, for the read API may do less than the controller, and both less than the owner" (get $users .) $role) }}
      {{- end }}
      {{- $_ := set $users . $role }}
    {{- end }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "llmplane.contradictions.tls" -}}
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
{{- end }}

{{/* Each Secret goes to others: to the controller, the read API, both, or a Job. */}}
{{- define "llmplane.contradictions.secrets" -}}
{{- if eq .Values.keyring.existingSecret .Values.keyring.auditKeySecret }}
  {{- fail "keyring.existingSecret and keyring.auditKeySecret are the same Secret: audit.key needs one of its own, which the read API never gets" }}
{{- end }}
{{- $secrets := list
    (list "keyring.existingSecret" .Values.keyring.existingSecret)
    (list "keyring.auditKeySecret" .Values.keyring.auditKeySecret)
    (list "api.tls" (include "llmplane.tlsSecret" .))
    (list "settingsFromSecret" .Values.settingsFromSecret) }}
{{- range $role := list "controller" "api" "owner" }}
  {{- $field := printf "database.%s" $role }}
  {{- if or (ne $role "owner") (include "llmplane.migrates" $) }}
    {{- $secrets = append $secrets (list $field (include "llmplane.databaseSecret" (dict "root" $ "role" $role))) }}
  {{- end }}
{{- end }}
{{- $fields := dict }}
{{- range $secrets }}
  {{- $field := index . 0 }}
  {{- with index . 1 }}
    {{- if hasKey $fields . }}
      {{- fail (printf "%s and %s are the same Secret: give each one of its own, for whoever gets one of them would get the other too" (get $fields .) $field) }}
    {{- end }}
    {{- $_ := set $fields . $field }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "llmplane.contradictions.namespaces" -}}
{{- $watched := .Values.namespaces }}
{{- if and (has "*" $watched) (gt (len $watched) 1) }}
  {{- fail "namespaces has \"*\" beside other names: \"*\" alone is every namespace, names alone are those" }}
{{- end }}
{{- if not (has "*" $watched) }}
  {{- range .Values.sharedNamespaces }}
    {{- if not (has . $watched) }}
      {{- fail (printf "sharedNamespaces has %s, in which nothing is reconciled: add it to namespaces too, by which the controller may read its Secrets" .) }}
    {{- end }}
  {{- end }}
  {{- range $namespace, $_ := .Values.federation }}
    {{- if not (has $namespace $watched) }}
      {{- fail (printf "federation has %s, in which nothing is reconciled: add it to namespaces too, or take it out" $namespace) }}
    {{- end }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "llmplane.contradictions.settings" -}}
{{- $own := dict "LLMPLANE_NAMESPACES" "namespaces" "LLMPLANE_SHARED_NAMESPACES" "sharedNamespaces" "LLMPLANE_LOG_FORMAT" "log.format" "RUST_LOG" "log.level" "LLMPLANE_TLS_CERT" "api.tls" "LLMPLANE_TLS_KEY" "api.tls" "LLMPLANE_KEYRING_DIR" "keyring and disclosure" "LLMPLANE_LEASE_NAMESPACE" "the release's namespace" }}
{{- range $name, $value := .Values.settings }}
  {{- if hasKey $own $name }}
    {{- fail (printf "settings.%s is not set here: %s decides it" $name (index $own $name)) }}
  {{- end }}
  {{- if hasSuffix "DATABASE_URL" $name }}
    {{- fail (printf "settings.%s would put a password into a ConfigMap: use database.controller and database.api" $name) }}
  {{- end }}
  {{- if regexMatch "_(HEADERS|PASSWORD|TOKEN|SECRET|API_KEY|ACCESS_KEY)$" $name }}
    {{- fail (printf "settings.%s would put a secret into a ConfigMap: put it into a Secret, and name that in settingsFromSecret" $name) }}
  {{- end }}
  {{- if regexMatch "://[^/?#]*@" (include "llmplane.text" $value) }}
    {{- fail (printf "settings.%s has a URL with a user or a password, which would be in a ConfigMap: put it into a Secret, and name that in settingsFromSecret" $name) }}
  {{- end }}
  {{- if has $name (list "LLMPLANE_LISTEN" "LLMPLANE_ADMIN_LISTEN") }}
    {{- fail (printf "settings.%s would move a port that probes, Services and policies name: leave it out" $name) }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "llmplane.contradictions.replicas" -}}
{{- if and (gt (int .Values.controller.replicas) 1) (eq (toString .Values.settings.LLMPLANE_LEADER_ELECTION) "false") }}
  {{- fail "controller.replicas is above 1 with settings.LLMPLANE_LEADER_ELECTION=false: the replicas would take the lead from each other; set controller.replicas=1, or leave leader election on" }}
{{- end }}
{{- if and (not .Values.podDisruptionBudget.enabled) (ne (include "llmplane.text" .Values.podDisruptionBudget.maxUnavailable) "1") }}
  {{- fail "podDisruptionBudget.maxUnavailable is set and podDisruptionBudget.enabled is false: enable it, or take the number out" }}
{{- end }}
{{- end }}
