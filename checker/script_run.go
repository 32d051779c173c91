package checker

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"bascule/checker/internal/self"
)

const (
	// maxScripts is how many scripts may run at the same time. Scripts that
	// hang must not use up the memory of a machine that others depend on.
	maxScripts = 256
	// maxOutput is how much of the output of a script is kept.
	maxOutput = 4 << 10
	// maxReport bounds what a launcher says.
	maxReport = maxOutput + 64
	// launchGrace is how long a launcher may take to kill what it has started.
	// More than that takes only what the kernel cannot kill.
	launchGrace = time.Second
)

// scriptSlots has a place for each script that may run.
var scriptSlots = make(chan struct{}, maxScripts)

// scriptSlot waits for a turn, and returns how to give it back.
func scriptSlot(ctx context.Context) (release func(), ok bool) {
	select {
	case scriptSlots <- struct{}{}:
		return func() { <-scriptSlots }, true
	case <-ctx.Done():
		return nil, false
	}
}

// launch runs a launcher until it ends, or the context does, and returns its
// report. The launcher is this program again, as its own process: it has time
// to find the script on a file system that hangs, and does not have to be
// careful about the real-time priority, the protection from shortage of memory
// and the descriptors that it inherits, but can put them off. And a thread that
// starts a process stands still, with all of Go's scheduler behind it, until
// the other program is there: this one always is.
//
// release is called when the launcher is gone, which may be later than launch
// returns.
func launch(ctx context.Context, request []byte, release func()) (report []byte, err error) {
	l, err := self.Start(Launcher, []string{"GOMAXPROCS=1", "GOTRACEBACK=none"}, nil)
	if err != nil {
		release()
		return nil, err
	}
	gone := make(chan struct{})
	defer func() {
		_ = l.In.Close()
		_ = l.Out.Close()
		select {
		case <-gone:
		case <-time.After(launchGrace): // in the kernel, where nothing reaches it
		}
	}()
	stop := context.AfterFunc(ctx, func() {
		_ = l.In.Close() // which makes it kill the script
		_ = l.Out.SetReadDeadline(time.Now().Add(launchGrace))
	})
	defer stop()
	_, unasked := l.In.Write(request)
	report, err = io.ReadAll(io.LimitReader(l.Out, maxReport))
	if err != nil || unasked != nil && ctx.Err() != nil {
		_ = l.Kill()
		report = []byte(outcomeKilled + " 0\n")
	}
	go func() {
		defer close(gone)
		defer release()
		_, _ = l.Wait() // it has said all in its report
	}()
	return report, nil
}

// What can become of a script.
const (
	outcomeExit   = "exit"   // it ended by itself, with a status
	outcomeSignal = "signal" // it ended by a signal of somebody else
	outcomeKilled = "killed" // the launcher had to end it
	outcomeCannot = "cannot" // it did not run
)

// outcome is what has become of a script.
type outcome struct {
	kind   string
	number int    // status or signal
	output string // what it has written, or why it did not run
}

// report is the outcome as a launcher reports it.
func (o outcome) report() []byte {
	return fmt.Appendf(nil, "%s %d\n%s", o.kind, o.number, o.output)
}

// parseReport reads a report. One that is none is what a launcher says that
// has broken down.
func parseReport(report []byte) outcome {
	head, output, found := bytes.Cut(report, []byte("\n"))
	kind, text, _ := strings.Cut(string(head), " ")
	number, err := strconv.Atoi(text)
	known := kind == outcomeExit || kind == outcomeSignal || kind == outcomeKilled || kind == outcomeCannot
	if !found || err != nil || !known || number < 0 || number > 255 {
		return outcome{kind: outcomeCannot, output: "the launcher fails: " + excerpt(string(report))}
	}
	return outcome{kind: kind, number: number, output: string(output)}
}
