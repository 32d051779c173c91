// Package self starts this program again, as a process that does one thing for
// the one that has started it.
package self

import (
	"os"
	"syscall"
)

// Process is this program again.
type Process struct {
	*os.Process
	In  *os.File // its standard input
	Out *os.File // its standard output
}

// Start starts this program with one argument, in a session of its own, which
// keeps the signals of a terminal away. Without an environment it has that of
// this process; without a place for its errors they go where its output goes.
func Start(argument string, env []string, stderr *os.File) (*Process, error) {
	stdin, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = stdin.Close() }()
	out, stdout, err := os.Pipe()
	if err != nil {
		_ = in.Close()
		return nil, err
	}
	defer func() { _ = stdout.Close() }()
	if stderr == nil {
		stderr = stdout
	}
	process, err := os.StartProcess("/proc/self/exe", []string{"bascule", argument}, &os.ProcAttr{
		Dir: "/", Env: env, Files: []*os.File{stdin, stdout, stderr}, Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		_, _ = in.Close(), out.Close()
		return nil, err
	}
	return &Process{process, in, out}, nil
}

// Name gives this process the name that ps(1) and top(1) show, of 15 bytes at
// most: "exe", after the path that it was started by, tells nobody whose it is.
func Name(name string) error { return os.WriteFile("/proc/self/comm", []byte(name), 0) }
