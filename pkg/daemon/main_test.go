package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestExitStatus(t *testing.T) {
	for _, test := range []struct {
		err    error
		status int
		stderr string
	}{
		{nil, 0, ""},
		{ErrDone, 0, ""},
		{fmt.Errorf("parse: %w", ErrDone), 0, ""},
		{&UsageError{"unknown flag --x"}, 2, "speaker: unknown flag --x (see speaker --help)\n"},
		{&UsageError{"two\nlines"}, 2, "speaker: two lines (see speaker --help)\n"},
		{fmt.Errorf("start: %w", &UsageError{"no node name"}), 2, "speaker: no node name (see speaker --help)\n"},
		{fmt.Errorf("probe: %w", ErrFailed), 1, ""},
		{errors.New("no sockets"), 1, "speaker: no sockets\n"},
	} {
		var stderr bytes.Buffer
		if got := exitStatus("speaker", test.err, &stderr); got != test.status || stderr.String() != test.stderr {
			t.Errorf("%v: status %d and %q, want %d and %q", test.err, got, stderr.String(), test.status, test.stderr)
		}
	}
}

func TestMainEndsOnSignal(t *testing.T) {
	status := Main("speaker", func(ctx context.Context, _ []string, _, _ io.Writer) error {
		if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(10 * time.Second):
			return errors.New("SIGTERM did not end the context")
		}
	})
	if status != 0 {
		t.Errorf("the exit status after SIGTERM is %d", status)
	}
}

func TestRunTasks(t *testing.T) {
	untilStopped := func(ctx context.Context) error { <-ctx.Done(); return nil }
	after := func(d time.Duration, err error) func(context.Context) error {
		return func(ctx context.Context) error {
			select {
			case <-time.After(d):
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	for _, test := range []struct {
		name  string
		tasks []Task
		took  time.Duration
		want  string
	}{
		{"all stop when told to", []Task{{"a", untilStopped}, {"b", after(2*time.Hour, nil)}}, time.Hour, ""},
		{"the first that fails ends all", []Task{
			{"a", untilStopped}, {"b", after(time.Minute, errors.New("no sockets"))}, {"d", after(2*time.Minute, io.EOF)},
		}, time.Minute, "b: no sockets"},
		{"none may end early", []Task{{"a", untilStopped}, {"b", after(time.Second, nil)}}, time.Second,
			"b: ended without being told to"},
		{"a failure while stopping counts", []Task{
			{"a", func(ctx context.Context) error { <-ctx.Done(); return errors.New("still busy") }},
		}, time.Hour, "a: still busy"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				start := time.Now()
				err := RunTasks(ctx, test.tasks...)
				if got := fmt.Sprint(err); test.want != "" && got != test.want || test.want == "" && err != nil {
					t.Errorf("error %v, want %s", err, test.want)
				}
				if took := time.Since(start); took != test.took {
					t.Errorf("it took %v, want %v", took, test.took)
				}
			})
		})
	}
}
