{{/* What is read from values. */}}

{{/* A value as text. YAML's numbers arrive as floats, which a template would print with an exponent. */}}
{{- define "llmplane.text" -}}
{{- if kindIs "string" . }}{{ . }}{{ else }}{{ toJson . }}{{ end }}
{{- end }}

{{/* User of a PostgreSQL URL, where it names one; as PostgreSQL's clients do, a parameter comes before the rest. */}}
{{- define "llmplane.databaseUser" -}}
{{- $authority := "^postgres(?:ql)?://([^:@/?#]*)[^/?#]*@.*$" }}
{{- if regexMatch "[?&]user=" . -}}
{{ regexReplaceAll "^.*[?&]user=([^&#]*).*$" . "${1}" }}
{{- else if regexMatch $authority . -}}
{{ regexReplaceAll $authority . "${1}" }}
{{- end }}
{{- end }}

{{/* Port of a PostgreSQL URL. */}}
{{- define "llmplane.databasePort" -}}
{{- $authority := regexFind "^postgres(?:ql)?://[^/?#]*" . }}
{{- $named := regexFind "[?&]port=[0-9]+" . | default (regexFind ":[0-9]+$" $authority) }}
{{- regexFind "[0-9]+" $named | default "5432" }}
{{- end }}

{{/* Port of the collector of traces, where its URL is a setting. */}}
{{- define "llmplane.collectorPort" -}}
{{- with .Values.settings.OTEL_EXPORTER_OTLP_ENDPOINT }}
{{- $authority := regexFind "^https?://[^/?#]+" (include "llmplane.text" .) }}
{{- with $authority }}
{{- regexFind "[0-9]+" (regexFind ":[0-9]+$" .) | default (hasPrefix "https:" . | ternary "443" "80") }}
{{- end }}
{{- end }}
{{- end }}

{{/* Where the API may connect to, beside DNS: ports, with a space between them. */}}
{{- define "llmplane.egressPorts" -}}
{{- $ports := list }}
{{- range concat .Values.networkPolicy.apiserverPorts (list .Values.database.port) .Values.networkPolicy.collectorPorts }}
{{- $ports = append $ports (int . | toString) }}
{{- end }}
{{- with .Values.database.api.url }}
{{- $ports = append $ports (include "llmplane.databasePort" .) }}
{{- end }}
{{- with include "llmplane.collectorPort" . }}
{{- $ports = append $ports . }}
{{- end }}
{{- uniq $ports | join " " }}
{{- end }}
