{{- define "lanlord.image" -}}
{{- with .Values.image }}
{{- if and .digest (not .tag) }}{{ .repository }}@{{ .digest }}
{{- else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ with .digest }}@{{ . }}{{ end }}
{{- end }}
{{- end }}
{{- end }}

{{- /* The flags of both daemons that differ from their defaults. */ -}}
{{- define "lanlord.args" -}}
- --log-level={{ .Values.logLevel }}
{{- if ne .Values.logFormat "text" }}
- --log-format={{ .Values.logFormat }}
{{- end }}
{{- if eq .Values.configSource "metallb" }}
- --config-source=metallb
{{- if ne .Values.metallb.namespace "metallb-system" }}
- --config-namespace={{ .Values.metallb.namespace }}
{{- end }}
{{- else if ne .Values.config.name "config" }}
- --config-map={{ .Values.config.name }}
{{- end }}
{{- with .Values.loadBalancerClass }}
- --load-balancer-class={{ . }}
{{- end }}
{{- if ne (int .Values.metrics.port) 7572 }}
- --listen=:{{ .Values.metrics.port }}
{{- end }}
{{- end }}

{{- /* The ConfigMaps that both daemons read, as a list in YAML. */ -}}
{{- define "lanlord.configMaps" -}}
{{- if eq .Values.configSource "metallb" }}[lanlord-state]{{ else }}[{{ .Values.config.name }}, lanlord-state]{{ end }}
{{- end }}

{{- /* What is equal in the specs of the pods; a list of the root and the daemon's values. */ -}}
{{- define "lanlord.placement" -}}
{{- $root := index . 0 }}{{ $v := index . 1 }}
serviceAccountName: {{ $v.serviceAccount.name }}
{{- with $v.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 0 }}
{{- end }}
{{- with $v.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $v.tolerations }}
tolerations: {{- toYaml . | nindent 0 }}
{{- end }}
{{- with $v.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $v.topologySpreadConstraints }}
topologySpreadConstraints: {{- toYaml . | nindent 0 }}
{{- end }}
{{- end }}

{{- define "lanlord.podAnnotations" -}}
{{- $root := index . 0 }}{{ $v := index . 1 }}
{{- if or $root.Values.metrics.annotations $v.podAnnotations }}
annotations:
  {{- if $root.Values.metrics.annotations }}
  prometheus.io/scrape: "true"
  prometheus.io/port: {{ $root.Values.metrics.port | quote }}
  {{- end }}
  {{- with $v.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end }}

{{- /* The labels that all objects of a release have, to follow others in {}. */ -}}
{{- define "lanlord.labels" -}}
, app.kubernetes.io/instance: {{ .Release.Name | quote }}, app.kubernetes.io/managed-by: {{ .Release.Service | quote -}}
, app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}, helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | quote -}}
{{- range $key, $value := .Values.commonLabels }}, {{ $key | quote }}: {{ $value | quote }}{{- end }}
{{- end }}
