package soak

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/lanlord/lanlord/e2e/wire"
)

// stopLimit is how long a process may take to end after SIGTERM: the grace period of its Pod.
const stopLimit = 10 * time.Second

// manager is one process of the controller.
type manager struct {
	cmd         *exec.Cmd
	ended       chan struct{}
	listen, log string
}

// startManager starts one, the number-th, on the host of the API server.
func startManager(program, kubeconfig, logs string, host *wire.Host, number int) (*manager, error) {
	path := filepath.Join(logs, fmt.Sprintf("controller.%d.log", number))
	log, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the process has its own
	m := &manager{listen: fmt.Sprintf("%s:%d", host.Addr, 20_000+number%10_000), log: path, ended: make(chan struct{})}
	m.cmd = exec.Command(program, "--kubeconfig="+kubeconfig, "--namespace="+systemNamespace, "--listen="+m.listen)
	m.cmd.Stdout, m.cmd.Stderr = log, log
	if err := host.Start(m.cmd); err != nil {
		return nil, fmt.Errorf("start the controller: %w", err)
	}
	go func() {
		_ = m.cmd.Wait() // whether it should have ended is asked by those who need it
		close(m.ended)
	}()
	return m, nil
}

func (m *manager) running() bool {
	select {
	case <-m.ended:
		return false
	default:
		return true
	}
}

// led tells whether it has ever held the Lease.
func (m *manager) led() (bool, error) {
	log, err := os.ReadFile(m.log)
	return bytes.Contains(log, []byte("holding the Lease")), err
}

// awaitLoss waits until it has noticed that another process has the Lease.
func (m *manager) awaitLoss() error {
	for deadline := time.Now().Add(stopLimit); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		log, err := os.ReadFile(m.log)
		if err != nil {
			return err
		}
		// The last line about the Lease counts: the process may have held the Lease several times.
		if bytes.LastIndex(log, []byte("Lease not renewed")) > bytes.LastIndex(log, []byte("holding the Lease")) {
			return nil
		}
	}
	return fmt.Errorf("the controller did not notice within %v that another one has the Lease", stopLimit)
}

func (m *manager) kill() {
	_ = m.cmd.Process.Kill() // it may have ended
	<-m.ended
}

// stop tells it to stop, and waits until it has.
func (m *manager) stop() error {
	if err := m.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop the controller: %w", err)
	}
	return m.await(true)
}

// await waits until it has ended, and well if it is to.
func (m *manager) await(well bool) error {
	select {
	case <-m.ended:
	case <-time.After(stopLimit):
		m.kill()
		return fmt.Errorf("the controller still ran %v after it had to end", stopLimit)
	}
	if well && !m.cmd.ProcessState.Success() {
		return fmt.Errorf("the controller ended with %s", m.cmd.ProcessState)
	}
	return nil
}

// metrics returns what it answers under /metrics.
func (m *manager) metrics(ctx context.Context, client *http.Client) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+m.listen+"/metrics", nil)
	if err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return "", errors.New(response.Status)
	}
	text, err := io.ReadAll(response.Body)
	return string(text), err
}
