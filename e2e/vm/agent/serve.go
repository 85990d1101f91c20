package agent

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// server serves one stream.
type server struct {
	// writing guards out, to which each job writes its answer.
	writing sync.Mutex
	out     *gob.Encoder
	// mu guards programs, the programs that run by their names.
	mu       sync.Mutex
	programs map[string]*program
}

type program struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

// Serve does the jobs that the other end requests, several at once, until the stream ends.
func Serve(stream io.ReadWriter) error {
	s := &server{out: gob.NewEncoder(stream), programs: map[string]*program{}}
	for in := gob.NewDecoder(stream); ; {
		var r Request
		if err := in.Decode(&r); err != nil {
			return fmt.Errorf("read a request: %w", err)
		}
		go s.serve(r)
	}
}

func (s *server) serve(r Request) {
	answer := s.do(r)
	answer.ID = r.ID
	s.mu.Lock()
	answer.Running = len(s.programs)
	s.mu.Unlock()
	s.writing.Lock()
	defer s.writing.Unlock()
	_ = s.out.Encode(answer) // the reader of the stream notices the failure
}

func (s *server) do(r Request) (a Answer) {
	var err error
	switch {
	case r.Run != nil:
		a, err = run(r.Run)
	case r.Start != nil:
		err = s.start(r.Start)
	case r.Kill != nil:
		err = s.kill(r.Kill)
	case r.Put != nil:
		if err = os.MkdirAll(filepath.Dir(r.Put.Path), 0o755); err == nil {
			err = os.WriteFile(r.Put.Path, r.Put.Data, os.FileMode(r.Put.Mode))
		}
	case r.Get != nil:
		a.Output, err = os.ReadFile(r.Get.Path)
	}
	if err != nil {
		a.Problem = err.Error()
	}
	return a
}

// run returns the exit status in the answer. The error tells of a program that could not run at all.
func run(r *Run) (Answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), r.Limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, r.Args[0], r.Args[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	a := Answer{Output: out}
	if ctx.Err() != nil {
		return a, fmt.Errorf("%v has not ended within %v", r.Args, r.Limit)
	}
	if exit, is := errors.AsType[*exec.ExitError](err); is {
		a.Code = exit.ExitCode()
		if status, is := exit.Sys().(syscall.WaitStatus); is && status.Signaled() {
			a.Code = 128 + int(status.Signal())
		}
		return a, nil
	}
	if errors.Is(err, exec.ErrWaitDelay) { // a child in the background keeps the output open
		err = nil
	}
	return a, err
}

func (s *server) start(r *Start) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.programs[r.Name] != nil {
		return fmt.Errorf("%s runs already", r.Name)
	}
	if err := os.MkdirAll(filepath.Dir(r.Log), 0o755); err != nil {
		return err
	}
	log, err := os.Create(r.Log)
	if err != nil {
		return err
	}
	defer log.Close() // the process has its own
	p := &program{cmd: exec.Command(r.Args[0], r.Args[1:]...), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.Env = log, log, append(os.Environ(), r.Env...)
	if err := p.cmd.Start(); err != nil {
		return err
	}
	s.programs[r.Name] = p
	go func() {
		_ = p.cmd.Wait() // the log has the reason
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.programs, r.Name)
		close(p.ended)
	}()
	return nil
}

func (s *server) kill(r *Kill) error {
	s.mu.Lock()
	p := s.programs[r.Name]
	s.mu.Unlock()
	if p == nil {
		return nil
	}
	if err := p.cmd.Process.Signal(syscall.Signal(r.Signal)); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	if r.Wait {
		<-p.ended
	}
	return nil
}
