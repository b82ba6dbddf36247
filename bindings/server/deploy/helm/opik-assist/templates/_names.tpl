{{- define "opik-assist.name" -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- define "opik-assist.replicas" -}}
{{- if .Values.sessions.existingSecret }}{{ .Values.replicas }}{{ else }}1{{ end -}}
{{- end -}}
{{- define "opik-assist.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}
