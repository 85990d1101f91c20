package controlplane

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/lanlord/lanlord/e2e/certificate"
)

const (
	port     = "6443"
	etcdURL  = "http://127.0.0.1:2379"
	etcdPeer = "http://127.0.0.1:2380"

	// startLimit is how long the API server may take until it is ready, on a busy machine.
	startLimit = 2 * time.Minute
	startPoll  = 100 * time.Millisecond
)

// ClusterIP is the address of the Service default/kubernetes, which the API server makes: the first of its range.
var ClusterIP = netip.MustParseAddr("10.96.0.1")

// Place is where the programs run: nobody else there may use their ports.
type Place struct {
	// Addr is one of its addresses, on which the API server listens. etcd listens on the loopback address.
	Addr netip.Addr
	// Start starts a process there.
	Start func(*exec.Cmd) error
	// Dial connects from there.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Options say what a Server is made of.
type Options struct {
	// Binaries is the directory with the programs; see [Binaries].
	Binaries string
	// Dir is an existing directory for what they store, their logs, certificates and kubeconfigs.
	Dir string
	// Manifest is the path of Lanlord's manifest, of which all but the workloads is applied; empty for none.
	Manifest string
}

// Server is a control plane.
type Server struct {
	options   Options
	place     Place
	authority *certificate.Authority
	// Admin may do anything, and is not held back by priority and fairness.
	Admin     kubernetes.Interface
	processes []*process
}

// New returns a Server that Start starts.
func New(o Options) *Server { return &Server{options: o} }

// Start starts the programs, waits until the API server is ready, and applies the manifest.
func (s *Server) Start(ctx context.Context, place Place) error {
	s.place = place
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	if err := s.certify(place.Addr); err != nil {
		return err
	}
	if err := s.connect(); err != nil {
		return err
	}
	for _, step := range []func() error{s.startEtcd, s.startAPIServer, func() error { return s.await(ctx) }} {
		if err := step(); err != nil {
			return err
		}
	}
	if s.options.Manifest == "" {
		return nil
	}
	if err := s.deploy(ctx); err != nil {
		return fmt.Errorf("apply %s: %w", s.options.Manifest, err)
	}
	return nil
}

func (s *Server) startEtcd() error {
	return s.run("etcd", s.binary("etcd"), "--data-dir="+s.file("etcd"), "--listen-client-urls="+etcdURL,
		"--advertise-client-urls="+etcdURL, "--listen-peer-urls="+etcdPeer, "--initial-advertise-peer-urls="+etcdPeer,
		"--initial-cluster=default="+etcdPeer, "--log-level=warn")
}

func (s *Server) startAPIServer() error {
	return s.run("kube-apiserver", s.binary("hyperkube"), "kube-apiserver",
		"--etcd-servers="+etcdURL, "--bind-address="+s.place.Addr.String(), "--advertise-address="+s.place.Addr.String(),
		"--secure-port="+port, "--tls-cert-file="+s.file("server.crt"), "--tls-private-key-file="+s.file("server.key"),
		"--client-ca-file="+s.file("ca.crt"), "--authorization-mode=Node,RBAC", "--cert-dir="+s.options.Dir,
		"--service-account-key-file="+s.file("tokens.key"), "--service-account-signing-key-file="+s.file("tokens.key"),
		"--service-account-issuer=https://kubernetes.default.svc", "--service-cluster-ip-range=10.96.0.0/12,fd00:96::/108")
}

func (s *Server) binary(name string) string { return filepath.Join(s.options.Binaries, name) }

func (s *Server) file(name string) string { return filepath.Join(s.options.Dir, name) }

// await waits until the API server is ready.
func (s *Server) await(ctx context.Context) error {
	for {
		answer, err := s.Admin.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
		if err == nil && bytes.Equal(answer, []byte("ok")) {
			return nil
		}
		for _, p := range s.processes {
			if p.ended() {
				return fmt.Errorf("%s has ended: %s", p.name, p.tail())
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w until the API server is ready: %w", context.Cause(ctx), err)
		case <-time.After(startPoll):
		}
	}
}

// connect makes the administrator's client and kubeconfig.
func (s *Server) connect() error {
	cert, key, err := s.authority.Client("admin", "system:masters")
	if err != nil {
		return err
	}
	if err := s.write(map[string][]byte{"admin.crt": cert, "admin.key": key}); err != nil {
		return err
	}
	if err := s.writeKubeconfig("admin", fmt.Sprintf("{client-certificate: %q, client-key: %q}", s.file("admin.crt"), s.file("admin.key"))); err != nil {
		return err
	}
	config := s.config()
	config.CertData, config.KeyData = cert, key
	s.Admin, err = kubernetes.NewForConfig(config)
	return err
}

// config is what all clients in this process have.
func (s *Server) config() *rest.Config {
	config := &rest.Config{
		Host: s.url(), Dial: s.place.Dial, QPS: -1,
		TLSClientConfig: rest.TLSClientConfig{CAData: s.authority.PEM},
	}
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	return config
}

func (s *Server) url() string { return "https://" + net.JoinHostPort(s.place.Addr.String(), port) }

// Close ends the programs.
func (s *Server) Close() {
	for i := len(s.processes) - 1; i >= 0; i-- {
		s.processes[i].kill()
	}
}

// Processes returns the numbers of the processes by their names.
func (s *Server) Processes() map[string]int {
	pids := make(map[string]int)
	for _, p := range s.processes {
		pids[p.name] = p.cmd.Process.Pid
	}
	return pids
}

// errNoPlace says that Start was not called.
var errNoPlace = errors.New("the control plane was not started")

// process is one of the programs.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string
	done chan struct{}
}

// run starts a program. Its log is a file of its name.
func (s *Server) run(name, program string, args ...string) error {
	p := &process{name: name, cmd: exec.Command(program, args...), log: s.file(name + ".log"), done: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		return err
	}
	defer log.Close() // the process has its own
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := s.place.Start(p.cmd); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	s.processes = append(s.processes, p)
	go func() {
		_ = p.cmd.Wait() // whether it should have ended is asked by those who need it
		close(p.done)
	}()
	return nil
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may just have ended
	<-p.done
}

// tail returns the end of the log.
func (p *process) tail() string {
	const most = 2048
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-most):])
}
