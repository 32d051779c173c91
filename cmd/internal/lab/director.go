package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

// Director is bascule on one host, with a configuration and directories of
// its own. It belongs to one goroutine, Status and Log excepted.
type Director struct {
	host    *Host
	binary  string
	base    string
	process *Process // nil before the first start
}

// NewDirector prepares the program at a path to run on the host. Write its
// configuration, then Start it.
func NewDirector(host *Host, binary string) (*Director, error) {
	binary, err := filepath.Abs(binary)
	if err != nil {
		return nil, fmt.Errorf("path of bascule: %v", err)
	}
	base, err := host.Directory()
	if err != nil {
		return nil, err
	}
	d := &Director{host: host, binary: binary, base: base}
	for _, directory := range []string{d.RuntimeDirectory(), d.stateDirectory()} {
		if err := os.MkdirAll(directory, 0o755); err != nil {
			return nil, fmt.Errorf("directory of bascule on %s: %v", host.Name, err)
		}
	}
	return d, nil
}

// Host returns the host that the director runs on.
func (d *Director) Host() *Host { return d.host }

// ConfigFile returns the path of the configuration file.
func (d *Director) ConfigFile() string { return filepath.Join(d.base, "bascule.toml") }

// RuntimeDirectory returns the directory of the control socket.
func (d *Director) RuntimeDirectory() string { return filepath.Join(d.base, "run") }

// stateDirectory returns the directory of what outlives a restart.
func (d *Director) stateDirectory() string { return filepath.Join(d.base, "state") }

// WriteConfig replaces the configuration file as a whole.
func (d *Director) WriteConfig(text string) error {
	next := d.ConfigFile() + ".next"
	if err := os.WriteFile(next, []byte(text), 0o644); err != nil {
		return fmt.Errorf("configuration of %s: %v", d.host.Name, err)
	}
	return os.Rename(next, d.ConfigFile())
}

// Start runs bascule and waits until it answers for its status. One that ends
// before is an error that has its log.
func (d *Director) Start(ctx context.Context) error {
	if err := d.Launch(); err != nil {
		return err
	}
	_, err := d.Await(ctx, "an answer", func(Status) bool { return true })
	return err
}

// Launch runs bascule as Start does, and does not wait for it.
func (d *Director) Launch() error {
	process, err := d.host.Start(d.binary, "run", "--config", d.ConfigFile(), "--node", d.host.Name,
		"--runtime-dir", d.RuntimeDirectory(), "--state-dir", d.stateDirectory())
	if err != nil {
		return err
	}
	d.process = process
	return nil
}

// Stop ends bascule in order: SIGTERM, and SIGKILL when the context ends.
func (d *Director) Stop(ctx context.Context) error {
	if d.process == nil {
		return fmt.Errorf("bascule on %s was never started", d.host.Name)
	}
	return d.process.Stop(ctx)
}

// Kill ends bascule at once, as a crash does: what it has given to the kernel
// stays there.
func (d *Director) Kill() error {
	if d.process == nil {
		return nil
	}
	return d.process.Kill()
}

// Process returns the running program, or the last one that ran; nil before
// the first Start.
func (d *Director) Process() *Process { return d.process }

// Log returns what bascule has written to standard error, on all its runs.
func (d *Director) Log() string {
	if d.process == nil {
		return ""
	}
	return d.process.Log()
}

// Control runs a command of bascule that speaks with the running one, and
// returns its standard output.
func (d *Director) Control(ctx context.Context, command string, args ...string) (string, error) {
	args = append([]string{command, "--runtime-dir", d.RuntimeDirectory()}, args...)
	cmd := exec.CommandContext(ctx, d.binary, args...)
	cmd.SysProcAttr = dieWithParent()
	return output(cmd)
}

// Reload has bascule read its configuration again and says whether it took it.
func (d *Director) Reload(ctx context.Context) error {
	_, err := d.Control(ctx, "reload")
	return err
}

// Status asks bascule for its status.
func (d *Director) Status(ctx context.Context) (Status, error) {
	text, err := d.Control(ctx, "status", "--json")
	if err != nil {
		return Status{}, err
	}
	return parseStatus(text)
}

// statusInterval is how often Await asks: each time costs a process.
const statusInterval = 200 * time.Millisecond

// Await asks for the status until a condition holds, and returns that status.
// A bascule that has ended, and a context that has, are errors; they name what
// was waited for.
func (d *Director) Await(ctx context.Context, what string, holds func(Status) bool) (Status, error) {
	reason := errors.New("it has not been asked yet")
	for {
		status, err := d.Status(ctx)
		switch {
		case err == nil && holds(status):
			return status, nil
		case err == nil:
			reason = fmt.Errorf("its last status is %+v", status)
		case ctx.Err() == nil: // else the question was broken off, which says nothing
			reason = err
		}
		select {
		case <-d.process.Done():
			return Status{}, fmt.Errorf("bascule on %s has ended while waiting for %s:\n%s", d.host.Name, what, d.Log())
		case <-ctx.Done():
			return Status{}, fmt.Errorf("waiting for %s of %s: %v: %v", what, d.host.Name, ctx.Err(), reason)
		case <-time.After(statusInterval):
		}
	}
}

// AwaitState waits until a group is in a state.
func (d *Director) AwaitState(ctx context.Context, group, state string) (Status, error) {
	return d.Await(ctx, fmt.Sprintf("group %s to be %s", group, state), func(s Status) bool {
		g, found := s.Group(group)
		return found && g.State == state
	})
}

// AwaitMembers waits until a virtual server has exactly these members, in the
// order of the configuration.
func (d *Director) AwaitMembers(ctx context.Context, virtualServer string, members ...string) (Status, error) {
	return d.Await(ctx, fmt.Sprintf("members %v of %s", members, virtualServer), func(s Status) bool {
		return slices.Equal(s.Members(virtualServer), members)
	})
}
