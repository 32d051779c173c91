package daemon

import (
	"sync"
	"time"
)

// tasksTimeout is how long the end waits for the tasks after the ordered stop.
const tasksTimeout = 100 * time.Millisecond

// tasks are the goroutines that last as long as the daemon.
type tasks struct{ running sync.WaitGroup }

// start runs functions, each in a goroutine. An error that one of them returns
// comes out of the channel; the others go on.
func (t *tasks) start(functions ...func() error) (failed <-chan error) {
	errs := make(chan error, len(functions))
	for _, f := range functions {
		t.running.Go(func() {
			if err := f(); err != nil {
				errs <- err
			}
		})
	}
	return errs
}

// waitBriefly waits for the tasks after they were told to end, but not for one
// that hangs in the kernel.
func (t *tasks) waitBriefly() {
	ended := make(chan struct{})
	go func() { defer close(ended); t.running.Wait() }()
	select {
	case <-ended:
	case <-time.After(tasksTimeout):
	}
}
