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
{{- if not .Values.statusPage.enabled }}
- --status-listen=
{{- else if ne (int .Values.statusPage.port) 7573 }}
- --status-listen=127.0.0.1:{{ .Values.statusPage.port }}
{{- end }}
{{- end }}

{{- /* The ConfigMaps that both daemons read, as a list in YAML. */ -}}
{{- define "lanlord.configMaps" -}}
{{- if eq .Values.configSource "metallb" }}[lanlord-state]{{ else }}[{{ .Values.config.name }}, lanlord-state]{{ end }}
{{- end }}

{{- /* What is equal in the specs of the pods; a list of the root and the name of the daemon. */ -}}
{{- define "lanlord.placement" -}}
{{- $root := index . 0 }}{{ $component := index . 1 }}{{ $v := index $root.Values $component }}
serviceAccountName: {{ include "lanlord.account" (list $root $component) }}
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

{{- /* The name of the release for the names of objects: empty for the names without overrides. */ -}}
{{- define "lanlord.fullname" -}}
{{- with .Values }}
{{- if .fullnameOverride }}{{ .fullnameOverride }}
{{- else if .nameOverride }}
{{- if contains .nameOverride $.Release.Name }}{{ $.Release.Name }}{{ else }}{{ $.Release.Name }}-{{ .nameOverride }}{{ end }}
{{- end }}
{{- end }}
{{- end }}

{{- /* The name of a Deployment, a DaemonSet or an object beside them: controller, or NAME-controller. */ -}}
{{- define "lanlord.workload" -}}
{{- $component := index . 1 }}
{{- with include "lanlord.fullname" (index . 0) | trunc 50 | trimSuffix "-" }}{{ . }}-{{ end }}{{ $component }}
{{- end }}

{{- /* The beginning of the names of Roles and the like. */ -}}
{{- define "lanlord.prefix" -}}
{{- include "lanlord.fullname" . | trunc 50 | trimSuffix "-" | default "lanlord" }}
{{- end }}

{{- define "lanlord.clusterPrefix" -}}
{{- .Values.clusterRolePrefix | default (include "lanlord.prefix" .) }}
{{- end }}

{{- define "lanlord.account" -}}
{{- $root := index . 0 }}{{ $component := index . 1 }}
{{- (index $root.Values $component).serviceAccount.name | default (include "lanlord.workload" .) }}
{{- end }}

{{- /* The selector of a workload. A selector cannot change, so a workload of an older chart, or of install.yaml, keeps
       the selector without the instance. Without the cluster (helm template, Argo CD) the value selectorWithInstance decides. */ -}}
{{- define "lanlord.selector" -}}
{{- $root := index . 0 }}{{ $component := index . 1 }}
{{- $with := $root.Values.selectorWithInstance }}
{{- $kind := ternary "Deployment" "DaemonSet" (eq $component "controller") }}
{{- $old := lookup "apps/v1" $kind $root.Release.Namespace (include "lanlord.workload" .) }}
{{- if $old }}
{{- $labels := $old.spec.selector.matchLabels }}
{{- $instance := index $labels "app.kubernetes.io/instance" }}
{{- if and $instance (ne $instance $root.Release.Name) }}
{{- fail (printf "The %s %s in the namespace %s belongs to the release %s: set fullnameOverride, or install into another namespace" $kind (include "lanlord.workload" .) $root.Release.Namespace $instance) }}
{{- end }}
{{- $with = not (not $instance) }}
{{- end }}
{{- print " " }}{app: lanlord, component: {{ $component }}{{ if $with }}, app.kubernetes.io/instance: {{ $root.Release.Name | quote }}{{ end }}}
{{- end }}

{{- /* Speakers are on the network of the nodes, so an installation must have ports of its own. */ -}}
{{- define "lanlord.checkPorts" -}}
{{- if .Values.checkPorts }}
{{- $ports := list (list "metrics.port" "--listen" .Values.metrics.port 7572) (list "gossip.port" "--gossip-port" .Values.gossip.port 7950) }}
{{- if .Values.statusPage.enabled }}
{{- $ports = append $ports (list "statusPage.port" "--status-listen" .Values.statusPage.port 7573) }}
{{- end }}
{{- range (lookup "apps/v1" "DaemonSet" "" "").items }}
{{- $labels := .spec.template.metadata.labels | default dict }}
{{- $itself := and (eq .metadata.namespace $.Release.Namespace) (eq .metadata.name (include "lanlord.workload" (list $ "speaker"))) }}
{{- if and (eq (index $labels "app.kubernetes.io/name" | default "") "lanlord") (eq (index $labels "component" | default "") "speaker") (not $itself) }}
{{- $other := . }}
{{- $args := (index .spec.template.spec.containers 0).args | default list }}
{{- range $ports }}
{{- $theirs := toString (index . 3) }}
{{- $flag := printf "%s=" (index . 1) }}
{{- range $args }}
{{- if hasPrefix $flag . }}{{ $theirs = regexFind "[0-9]*$" . }}{{ end }}
{{- end }}
{{- if eq $theirs (toString (index . 2)) }}
{{- fail (printf "The speakers of %s/%s listen on port %s of the nodes too, and the speakers of this release would wait for it: set %s to another port, or checkPorts to false if no node runs both" $other.metadata.namespace $other.metadata.name $theirs (index . 0)) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
