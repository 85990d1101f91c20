package vm

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// monitor speaks QEMU's machine protocol. Several goroutines may use a monitor.
type monitor struct {
	// mu is held during a command.
	mu   sync.Mutex
	conn net.Conn
	in   *bufio.Scanner
}

// monitorLimit bounds a command, which QEMU answers at once on an idle machine.
const monitorLimit = time.Minute

func newMonitor(conn net.Conn) (*monitor, error) {
	m := &monitor{conn: conn, in: bufio.NewScanner(conn)}
	m.in.Buffer(nil, 1<<20)
	// QEMU greets, and takes commands after this one.
	return m, m.do("qmp_capabilities", nil)
}

// do gives a command and waits for its end.
func (m *monitor) do(command string, arguments map[string]any) error {
	_, err := m.ask(command, arguments)
	return err
}

// ask gives a command and returns the answer. Events are skipped.
func (m *monitor) ask(command string, arguments map[string]any) (json.RawMessage, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if arguments == nil {
		arguments = map[string]any{}
	}
	request, err := json.Marshal(map[string]any{"execute": command, "arguments": arguments})
	if err != nil {
		return nil, err
	}
	if err := m.conn.SetDeadline(time.Now().Add(monitorLimit)); err != nil {
		return nil, err
	}
	if _, err := m.conn.Write(append(request, '\n')); err != nil {
		return nil, fmt.Errorf("%s: %w", command, err)
	}
	for m.in.Scan() {
		var answer struct {
			Return json.RawMessage `json:"return"`
			Error  *struct {
				Desc string `json:"desc"`
			} `json:"error"`
		}
		if err := json.Unmarshal(m.in.Bytes(), &answer); err != nil {
			return nil, fmt.Errorf("%s: %w", command, err)
		}
		switch {
		case answer.Error != nil:
			return nil, fmt.Errorf("%s: %s", command, answer.Error.Desc)
		case answer.Return != nil:
			return answer.Return, nil
		}
	}
	return nil, fmt.Errorf("%s: %w", command, errors.Join(m.in.Err(), net.ErrClosed))
}
