package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestKillTakesTheWholeFamily kills a process whose child would clean up if
// it noticed, and whose grandchild would live on.
func TestKillTakesTheWholeFamily(t *testing.T) {
	t.Parallel()
	l := NewT(t)
	p, err := l.LB.Start("bash", "-c", `
		bash -c 'trap "echo cleaned up" TERM; sleep 1000 & echo $!; wait' &
		echo $!
		wait`)
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	ctx := deadline(t)
	for len(pids) < 2 {
		if ctx.Err() != nil {
			t.Fatalf("the family is not complete: %q", p.Log())
		}
		time.Sleep(10 * time.Millisecond)
		pids = nil
		for _, field := range strings.Fields(p.Log()) {
			pid, err := strconv.Atoi(field)
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
		}
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	for _, pid := range append(pids, p.PID()) {
		awaitEnd(ctx, t, pid)
	}
	if strings.Contains(p.Log(), "cleaned up") {
		t.Errorf("a child had the time to clean up: %q", p.Log())
	}
	if err := p.Kill(); err != nil {
		t.Errorf("killing it again: %v", err)
	}
	if err := p.Signal(syscall.SIGHUP); err == nil {
		t.Error("a dead process took a signal")
	}
}

// awaitEnd waits until a process is dead: gone, or a zombie that its parent
// has not yet asked about.
func awaitEnd(ctx context.Context, t *testing.T, pid int) {
	t.Helper()
	for {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) || strings.Contains(string(text), ") Z ") {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("process %d lives: %s %v", pid, text, err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// TestCommandIsInside runs commands that tell where they are, and such that
// fail.
func TestCommandIsInside(t *testing.T) {
	t.Parallel()
	l := NewT(t)
	ctx := deadline(t)
	got, err := l.Web[2].Output(ctx, "ip", "-o", "-4", "addr", "show", FirstCard)
	if err != nil || !strings.Contains(got, "192.168.200.13/24") {
		t.Errorf("address of web3: %q, %v", got, err)
	}
	if _, err := l.LB.Output(ctx, "sh", "-c", "echo no >&2; exit 3"); err == nil || !strings.Contains(err.Error(), "exit status 3: no") {
		t.Errorf("a command that fails: %v", err)
	}
	if err := l.LB.Sysctl("net/ipv4/nothing", "1"); err == nil {
		t.Error("a parameter that is not there was written")
	}
	p, err := l.LB.Start("false")
	if err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	if err := p.Stop(ctx); err == nil {
		t.Error("a process that has ended was stopped")
	}
}

// TestStartOutlivesThread starts a process from a thread that ends: others of
// its kind must not die with it.
func TestStartOutlivesThread(t *testing.T) {
	l, ctx := NewT(t), deadline(t)
	var p *Process
	tid := onEndingThread(func() {
		var err error
		if p, err = l.Client.Start("sleep", "60"); err != nil {
			t.Error(err)
		}
	})
	for ; ; time.Sleep(10 * time.Millisecond) {
		if ctx.Err() != nil {
			t.Fatal("the thread does not end")
		}
		if _, err := os.Stat(fmt.Sprintf("/proc/self/task/%d", tid)); errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	select {
	case <-p.Done():
		t.Error("the process has ended with the thread")
	case <-time.After(300 * time.Millisecond):
	}
}

// onEndingThread calls a function on a thread that ends after it, and returns
// its number. The first thread of a process is none: it has to outlive the others.
func onEndingThread(f func()) int {
	called := make(chan int, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked, so that it ends here
		tid := syscall.Gettid()
		if tid == os.Getpid() {
			tid = onEndingThread(f)
		} else {
			f()
		}
		called <- tid
	}()
	return <-called
}

// TestThreadsComeHome enters namespaces from many goroutines at once, and
// looks whether this process is still outside.
func TestThreadsComeHome(t *testing.T) {
	l := NewT(t)
	outside, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	inside := make(chan string)
	for i := range 50 {
		go func() {
			var name string
			err := l.Hosts()[i%6].Do(func() (err error) {
				name, err = os.Readlink("/proc/thread-self/ns/net")
				return err
			})
			if err != nil {
				name = err.Error()
			}
			inside <- name
		}()
	}
	names := map[string]bool{}
	for range 50 {
		names[<-inside] = true
	}
	if len(names) != 6 || names[outside] || names[""] {
		t.Errorf("seen inside %v, outside %s; want six namespaces, none of them the one outside", names, outside)
	}
	for range 50 {
		if now, err := os.Readlink("/proc/thread-self/ns/net"); now != outside || err != nil {
			t.Fatalf("outside is %s now, %v; want %s", now, err, outside)
		}
	}
}
