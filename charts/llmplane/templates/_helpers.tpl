{{/* Labels of everything that is installed. */}}
{{- define "llmplane.labels" -}}
app.kubernetes.io/part-of: llmplane
{{- end }}

{{/* The same of an object for which the values have labels, in `more`: these count. */}}
{{- define "llmplane.labelsWith" -}}
{{- $all := include "llmplane.labels" .root | fromYaml }}
{{- range $name, $value := .more }}
{{- $_ := set $all $name $value }}
{{- end }}
{{- toYaml $all }}
{{- end }}

{{/* What selects the pods of a component: controller or api. */}}
{{- define "llmplane.podLabels" -}}
app.kubernetes.io/name: llmplane
app.kubernetes.io/component: {{ . }}
app.kubernetes.io/part-of: llmplane
{{- end }}

{{- define "llmplane.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end }}
{{- end }}
{{- end }}

{{/* A file that is also in manifests/, in the release's namespace. */}}
{{- define "llmplane.manifest" -}}
{{- $namespace := printf "namespace: %s" .root.Release.Namespace -}}
{{ .root.Files.Get .file | replace "namespace: llmplane-system" $namespace }}
{{- end }}

{{/* Name of the Secret that holds the database's URL for a role: controller, api or owner. */}}
{{- define "llmplane.databaseSecret" -}}
{{- (index .root.Values.database .role).existingSecret | default (printf "llmplane-%s-database" .role) -}}
{{- end }}

{{- define "llmplane.tlsSecret" -}}
{{- .Values.api.tls.existingSecret | default "llmplane-api-tls" -}}
{{- end }}

{{/* Whether the chart brings the schema up to date. */}}
{{- define "llmplane.migrates" -}}
{{- if or .Values.database.owner.url .Values.database.owner.existingSecret -}}true{{- end -}}
{{- end }}

{{- define "llmplane.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "llmplane.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* Image of a container. */}}
{{- define "llmplane.containerImage" -}}
image: {{ include "llmplane.image" . }}
{{- with .Values.image.pullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
{{- end }}

{{/* Where any pod may run, and how its image is pulled. */}}
{{- define "llmplane.placement" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The same of a component's pods, which are spread. */}}
{{- define "llmplane.scheduling" -}}
{{- include "llmplane.placement" .root }}
{{- with .root.Values.topologySpread }}
{{- if .enabled }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: {{ .topologyKey }}
    whenUnsatisfiable: {{ .whenUnsatisfiable }}
    labelSelector:
      matchLabels:
        {{- include "llmplane.podLabels" $.component | nindent 8 }}
{{- end }}
{{- end }}
{{- end }}

{{/* Annotations of the pods: the values' count, but for the checksum, which has the pods start anew where their
     environment changed. */}}
{{- define "llmplane.podAnnotations" -}}
{{- $all := dict "prometheus.io/scrape" "true" "prometheus.io/port" "8081" }}
{{- range $name, $value := .Values.podAnnotations }}
{{- $_ := set $all $name $value }}
{{- end }}
{{- $environment := list (include "llmplane.settings" .) (omit .Values.database "owner" "port") }}
{{- $_ := set $all "checksum/environment" ($environment | toJson | sha256sum) }}
{{- toYaml $all }}
{{- end }}

{{/* Environment variables of both processes. */}}
{{- define "llmplane.settings" -}}
{{- if not (has "*" .Values.namespaces) }}
LLMPLANE_NAMESPACES: {{ join "," .Values.namespaces | quote }}
{{- end }}
{{- with .Values.sharedNamespaces }}
LLMPLANE_SHARED_NAMESPACES: {{ join "," . | quote }}
{{- end }}
LLMPLANE_LOG_FORMAT: {{ .Values.log.format | quote }}
RUST_LOG: {{ .Values.log.level | quote }}
{{- range $name, $value := .Values.settings }}
{{ $name }}: {{ include "llmplane.text" $value | quote }}
{{- end }}
{{- end }}

{{/* Where the environment of a process comes from; what comes later counts. */}}
{{- define "llmplane.environment" -}}
- configMapRef:
    name: llmplane-settings
{{- with .root.Values.settingsFromSecret }}
- secretRef:
    name: {{ . | quote }}
{{- end }}
- secretRef:
    name: {{ include "llmplane.databaseSecret" . | quote }}
{{- end }}

{{- define "llmplane.probes" -}}
livenessProbe:
  httpGet:
    path: /livez
    port: admin
  periodSeconds: 10
  failureThreshold: 6
readinessProbe:
  httpGet:
    path: /readyz
    port: admin
  periodSeconds: 5
{{- end }}

{{/* PodDisruptionBudget of a component. */}}
{{- define "llmplane.disruptionBudget" -}}
{{- with .root.Values.podDisruptionBudget }}
{{- if .enabled }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: llmplane-{{ $.component }}
  namespace: {{ $.root.Release.Namespace }}
  labels:
    {{- include "llmplane.labels" $.root | nindent 4 }}
spec:
  maxUnavailable: {{ include "llmplane.text" .maxUnavailable }}
  selector:
    matchLabels:
      app.kubernetes.io/name: llmplane
      app.kubernetes.io/component: {{ $.component }}
{{- end }}
{{- end }}
{{- end }}
