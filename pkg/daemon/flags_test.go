package daemon

import (
	"bytes"
	"errors"
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what is found to testdata instead of comparing")

// golden compares got with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is not what was found (-update writes it):\n%s", file, got)
	}
}

// parse parses args as the binary "speaker" with one additional flag.
func parse(args ...string) (Flags, string, error) {
	set := flag.NewFlagSet("speaker", flag.ContinueOnError)
	var flags Flags
	flags.register(set, "lanlord-system")
	set.Uint("gossip-port", 7950, "`port` to gossip on")
	var stdout bytes.Buffer
	err := flags.Parse(set, "Speaker answers for the addresses that this node owns.", args, &stdout)
	return flags, stdout.String(), err
}

func TestDefaults(t *testing.T) {
	got, stdout, err := parse()
	want := Flags{
		Namespace: "lanlord-system", ConfigSource: SourceConfigMap, ConfigNamespace: "metallb-system", ConfigMap: "config", Listen: ":7572", StatusListen: "127.0.0.1:7573",
		LogLevel: slog.LevelInfo, LogFormat: LogText,
	}
	if err != nil || got != want || stdout != "" {
		t.Errorf("without arguments the flags are %+v, %v, want %+v", got, err, want)
	}
}

func TestAllFlags(t *testing.T) {
	got, _, err := parse("--kubeconfig=/k", "-namespace", "metallb-system", "--config-map", "my.config",
		"--load-balancer-class=example.com/lanlord", "--listen=[::1]:0", "--status-listen=", "--pprof", "--log-level=debug", "--log-format=json",
		"--gossip-port=1", "--config-source=metallb", "--config-namespace=lb")
	want := Flags{
		Kubeconfig: "/k", Namespace: "metallb-system", ConfigSource: SourceMetalLB, ConfigNamespace: "lb", ConfigMap: "my.config", LoadBalancerClass: "example.com/lanlord",
		Listen: "[::1]:0", PProf: true, LogLevel: slog.LevelDebug, LogFormat: LogJSON,
	}
	if err != nil || got != want || got.MetalLB() != "lb" {
		t.Errorf("the flags are %+v, %v, want %+v", got, err, want)
	}
}

func TestBadFlags(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"--nonsense", `unknown flag --nonsense`},
		{"--namespace", `missing value for --namespace`},
		{"now", `unexpected argument "now"`},
		{"--log-level=verbose", `invalid value "verbose" for --log-level: must be debug, info, warn or error`},
		{"--log-level=INFO", `invalid value "INFO" for --log-level: must be debug, info, warn or error`},
		{"--log-format=xml", `invalid value "xml" for --log-format: must be text or json`},
		{"--pprof=perhaps", `invalid boolean value "perhaps" for --pprof: parse error`},
		{"--gossip-port=-1", `invalid value "-1" for --gossip-port: parse error`},
		{"--namespace=My_Own", `invalid value "My_Own" for --namespace: must be the name of a namespace: at most 63 of a-z, 0-9 and '-', no '-' at either end`},
		{"--namespace=", `invalid value "" for --namespace: must be the name of a namespace: at most 63 of a-z, 0-9 and '-', no '-' at either end`},
		{"--config-map=a/b", `invalid value "a/b" for --config-map: must be the name of a ConfigMap: at most 253 of a-z, 0-9, '-' and '.', no '-' or '.' at either end`},
		{"--config-source=MetalLB", `invalid value "MetalLB" for --config-source: must be configmap or metallb`},
		{"--config-namespace=", `invalid value "" for --config-namespace: must be the name of a namespace: at most 63 of a-z, 0-9 and '-', no '-' at either end`},
		{"--load-balancer-class=a/b/c", `invalid value "a/b/c" for --load-balancer-class: must be a name such as lanlord or example.com/lanlord`},
		{"--listen=7572", `invalid value "7572" for --listen: must be empty, or host:port with an IP address or nothing as host and a port of 0 to 65535`},
		{"--listen=:70000", `invalid value ":70000" for --listen: must be empty, or host:port with an IP address or nothing as host and a port of 0 to 65535`},
		{"--status-listen=localhost", `invalid value "localhost" for --status-listen: must be empty, or host:port with an IP address or nothing as host and a port of 0 to 65535`},
		{"--listen=node.example.com:80", `invalid value "node.example.com:80" for --listen: must be empty, or host:port with an IP address or nothing as host and a port of 0 to 65535`},
	} {
		t.Run(test.args, func(t *testing.T) {
			_, stdout, err := parse(test.args)
			usage, ok := errors.AsType[*UsageError](err)
			if !ok || usage.Error() != test.want || stdout != "" {
				t.Errorf("got %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestListenCanBeTurnedOff(t *testing.T) {
	if flags, _, err := parse("--listen="); err != nil || flags.Listen != "" {
		t.Errorf("--listen= is %q, %v", flags.Listen, err)
	}
}

func TestHelp(t *testing.T) {
	for _, arg := range []string{"--help", "-h"} {
		_, stdout, err := parse(arg)
		if !errors.Is(err, ErrDone) {
			t.Errorf("%s: %v", arg, err)
		}
		golden(t, "help.txt", stdout)
		for line := range strings.Lines(stdout) {
			if len(line) > helpWidth+1 {
				t.Errorf("a line of the help is %d wide: %s", len(line)-1, line)
			}
		}
	}
}

func TestVersionFlag(t *testing.T) {
	_, stdout, err := parse("--version", "--namespace=My_Own")
	if !errors.Is(err, ErrDone) || stdout != "speaker "+Version()+"\n" {
		t.Errorf("--version prints %q, %v", stdout, err)
	}
}

func TestDefaultNamespace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "namespace")
	empty := filepath.Join(t.TempDir(), "empty")
	for name, text := range map[string]string{file: "from-file\n", empty: "\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct{ env, file, want string }{
		{"from-env", file, "from-env"},
		{"", file, "from-file"},
		{"", empty, "lanlord-system"},
		{"", "/nonexistent/namespace", "lanlord-system"},
	} {
		if got := defaultNamespace(test.env, test.file); got != test.want {
			t.Errorf("with %q and %s the namespace is %q, want %q", test.env, test.file, got, test.want)
		}
	}
}

func TestNamespaceFromEnvironment(t *testing.T) {
	t.Setenv("LANLORD_NAMESPACE", "from-env")
	var flags Flags
	flags.Register(flag.NewFlagSet("speaker", flag.ContinueOnError))
	if flags.Namespace != "from-env" {
		t.Errorf("the namespace is %q, want from-env", flags.Namespace)
	}
}
