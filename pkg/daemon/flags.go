package daemon

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

const (
	namespaceEnv      = "LANLORD_NAMESPACE"
	namespaceFallback = "lanlord-system"
	// serviceAccountNamespace is the file in which Kubernetes gives a pod its namespace.
	serviceAccountNamespace = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"
)

// The values of --config-source.
const (
	SourceConfigMap = "configmap"
	SourceMetalLB   = "metallb"
)

// metallbNamespace is the namespace that MetalLB's own manifests use.
const metallbNamespace = "metallb-system"

// Flags holds the flags of both binaries.
type Flags struct {
	// Kubeconfig is the path of a kubeconfig. An empty path means the service account of the pod.
	Kubeconfig string
	// Namespace is the namespace of the ConfigMap, the gossip Secret and the Lease.
	Namespace string
	// ConfigSource names the kind of objects with the configuration: SourceConfigMap or SourceMetalLB.
	ConfigSource string
	// ConfigNamespace is the namespace of MetalLB's resources.
	ConfigNamespace string
	// ConfigMap is the name of the ConfigMap with the configuration.
	ConfigMap string
	// LoadBalancerClass is the class of the Services to serve. An empty class means the Services without a class.
	LoadBalancerClass string
	// Listen is the address of the HTTP server in the form host:port. An empty address means no server.
	Listen string
	// StatusListen is the address of the status page in the form host:port. An empty address means no page.
	StatusListen string
	// PProf adds /debug/pprof/ to the HTTP server.
	PProf bool
	// AddressMetrics adds metrics with a series for each address.
	AddressMetrics bool
	// LogLevel is the least level to log.
	LogLevel slog.Level
	// LogFormat is the format of the log lines.
	LogFormat LogFormat

	version bool
}

// Register defines the common flags on set. The flags store their values in f. Each binary defines further flags on
// set.
func (f *Flags) Register(set *flag.FlagSet) {
	f.register(set, defaultNamespace(os.Getenv(namespaceEnv), serviceAccountNamespace))
}

func (f *Flags) register(set *flag.FlagSet, namespace string) {
	*f = Flags{LogLevel: slog.LevelInfo}
	set.StringVar(&f.Kubeconfig, "kubeconfig", "",
		"`file` that says how to reach the API server; empty means the service account of the pod")
	set.StringVar(&f.Namespace, "namespace", namespace,
		"`namespace` of the ConfigMap, the gossip Secret and the Lease; the default is taken from the environment variable "+
			namespaceEnv+", else from the service account of the pod, else it is "+namespaceFallback)
	set.StringVar(&f.ConfigMap, "config-map", "config",
		"`name` of the ConfigMap with the configuration, under its key \"config\"")
	set.StringVar(&f.ConfigSource, "config-source", SourceConfigMap,
		"`kind` of the objects with the configuration: "+SourceConfigMap+", or "+SourceMetalLB+" for MetalLB's custom resources "+
			"(IPAddressPool, L2Advertisement, BGPPeer, BGPAdvertisement, Community, BFDProfile)")
	set.StringVar(&f.ConfigNamespace, "config-namespace", metallbNamespace,
		"with --config-source="+SourceMetalLB+", the `namespace` of MetalLB's resources, and of the Secrets with the passwords of "+
			"BGPPeers")
	set.StringVar(&f.LoadBalancerClass, "load-balancer-class", "",
		"serve the Services whose spec.loadBalancerClass is this `class`; empty means those that have none")
	set.StringVar(&f.Listen, "listen", ":7572",
		"`address` (host:port) of the HTTP server with /metrics, /healthz and /readyz; empty turns it off")
	set.StringVar(&f.StatusListen, "status-listen", "127.0.0.1:7573",
		"`address` (host:port) of the read-only status page, with the same as JSON under /status.json; it names addresses and Services, "+
			"so by default only this host, or who may forward a port to the pod, reaches it; empty turns it off")
	set.BoolVar(&f.PProf, "pprof", false,
		"serve Go's profiles under /debug/pprof/ too; whoever reaches the address can read them")
	set.BoolVar(&f.AddressMetrics, "address-metrics", false,
		"also serve metrics with a series for each address: there are as many as there are addresses")
	set.Var((*levelValue)(&f.LogLevel), "log-level", "least `level` to log: debug, info, warn or error")
	set.Var(&f.LogFormat, "log-format", "`format` of the log: text or json")
	set.BoolVar(&f.version, "version", false, "print the version and exit")
}

// Parse parses args into the flags of set. The caller must have called Register with set before. Parse returns nil; or
// ErrDone after writing the help or the version to stdout; or a *UsageError. about is the first sentence of --help.
func (f *Flags) Parse(set *flag.FlagSet, about string, args []string, stdout io.Writer) error {
	set.Init(set.Name(), flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.Usage = func() {}
	err := set.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return printed(io.WriteString(stdout, help(set, about)))
	case err != nil:
		return &UsageError{flagProblem(err)}
	case f.version:
		return printed(fmt.Fprintf(stdout, "%s %s\n", set.Name(), Version()))
	case set.NArg() > 0:
		return &UsageError{fmt.Sprintf("unexpected argument %q", set.Arg(0))}
	}
	return f.check()
}

// MetalLB returns the namespace of MetalLB's resources if they are the configuration, else an empty string.
func (f *Flags) MetalLB() string {
	if f.ConfigSource == SourceMetalLB {
		return f.ConfigNamespace
	}
	return ""
}

// printed returns ErrDone, or the error of a failed write to standard output.
func printed(_ int, err error) error {
	if err != nil {
		return fmt.Errorf("write to standard output: %w", err)
	}
	return ErrDone
}

// mustListen describes a valid listen address, for an error.
const mustListen = "empty, or host:port with an IP address or nothing as host and a port of 0 to 65535"

// check returns an error about the first invalid value.
func (f *Flags) check() error {
	invalid := func(name, value, must string) error {
		return &UsageError{fmt.Sprintf("invalid value %q for --%s: must be %s", value, name, must)}
	}
	switch {
	case len(validation.IsDNS1123Label(f.Namespace)) > 0:
		return invalid("namespace", f.Namespace, "the name of a namespace: at most 63 of a-z, 0-9 and '-', no '-' at either end")
	case len(validation.IsDNS1123Subdomain(f.ConfigMap)) > 0:
		return invalid("config-map", f.ConfigMap, "the name of a ConfigMap: at most 253 of a-z, 0-9, '-' and '.', no '-' or '.' at either end")
	case f.ConfigSource != SourceConfigMap && f.ConfigSource != SourceMetalLB:
		return invalid("config-source", f.ConfigSource, SourceConfigMap+" or "+SourceMetalLB)
	case len(validation.IsDNS1123Label(f.ConfigNamespace)) > 0:
		return invalid("config-namespace", f.ConfigNamespace,
			"the name of a namespace: at most 63 of a-z, 0-9 and '-', no '-' at either end")
	case f.LoadBalancerClass != "" && len(validation.IsQualifiedName(f.LoadBalancerClass)) > 0:
		return invalid("load-balancer-class", f.LoadBalancerClass, "a name such as lanlord or example.com/lanlord")
	case f.Listen != "" && !isListenAddress(f.Listen):
		return invalid("listen", f.Listen, mustListen)
	case f.StatusListen != "" && !isListenAddress(f.StatusListen):
		return invalid("status-listen", f.StatusListen, mustListen)
	}
	return nil
}

// isListenAddress reports whether the program can listen on s without asking a name server.
func isListenAddress(s string) bool {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return false
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return false
	}
	return host == "" || host == "localhost" || net.ParseIP(host) != nil
}

// defaultNamespace returns the default of --namespace: env, else the content of the file, else the fallback.
func defaultNamespace(env, file string) string {
	if env != "" {
		return env
	}
	if text, err := os.ReadFile(file); err == nil {
		if name := strings.TrimSpace(string(text)); name != "" {
			return name
		}
	}
	return namespaceFallback
}

// flagProblem shortens an error of package flag and writes two dashes, as in the help.
func flagProblem(err error) string {
	return strings.NewReplacer(
		"flag provided but not defined: -", "unknown flag --",
		"flag needs an argument: -", "missing value for --",
		" for flag -", " for --",
		" for -", " for --",
	).Replace(err.Error())
}
