package daemon

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"
)

// Task is one part of a program. Run blocks until ctx ends and then returns nil; whatever else it returns, and also that
// it returns earlier, ends the program.
type Task struct {
	Name string
	Run  func(ctx context.Context) error
}

// errEnded says that a task returned nil although nobody had told it to stop.
var errEnded = errors.New("ended without being told to")

// RunTasks runs all tasks and waits for all of them. The first that fails cancels the context of the others, and its
// error is returned with its name in front.
func RunTasks(ctx context.Context, tasks ...Task) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, task := range tasks {
		group.Go(func() error {
			err := task.Run(ctx)
			switch stopped := ctx.Err(); {
			case stopped != nil && (err == nil || errors.Is(err, stopped)):
				return nil
			case err == nil:
				err = errEnded
			}
			return fmt.Errorf("%s: %w", task.Name, err)
		})
	}
	return group.Wait()
}
