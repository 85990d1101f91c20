package daemon

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"
)

// Task is one part of a program. Run blocks until ctx ends and then returns nil. If Run returns earlier, or returns an
// error other than the error of ctx, the program ends.
type Task struct {
	Name string
	Run  func(ctx context.Context) error
}

// errEnded means that a task returned nil before its context ended.
var errEnded = errors.New("ended without being told to")

// RunTasks runs all tasks and waits for all of them. The first failed task cancels the context of the others. RunTasks
// returns the error of that task, with the name of the task in front.
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
