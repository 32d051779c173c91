package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"
)

// IPVSRules reads the IPVS table of the host's kernel as the rules that would
// make it again, in ipvsadm's words.
func (h *Host) IPVSRules(ctx context.Context) ([]string, error) {
	text, err := h.Output(ctx, "ipvsadm", "--save", "--numeric")
	if err != nil {
		return nil, err
	}
	var rules []string
	for line := range strings.Lines(text) {
		rules = append(rules, strings.TrimSpace(line))
	}
	return rules, nil
}

// SyncDaemons returns the states of the threads that synchronise connections
// on the host: "master", "backup", both or none.
func (h *Host) SyncDaemons(ctx context.Context) ([]string, error) {
	text, err := h.Output(ctx, "ipvsadm", "--list", "--daemon")
	if err != nil {
		return nil, err
	}
	var states []string
	for line := range strings.Lines(text) {
		state, _, _ := strings.Cut(line, " sync daemon")
		states = append(states, state)
	}
	return states, nil
}

// tableInterval is how often AwaitIPVS counts.
const tableInterval = 20 * time.Millisecond

// CountIPVS returns how many destinations the host's kernel has, at the least
// cost for the kernel.
func (h *Host) CountIPVS() (n int, err error) {
	err = h.Do(func() error {
		// That of the calling thread: the process's own is that of its first.
		file, err := os.Open("/proc/thread-self/net/ip_vs")
		if errors.Is(err, fs.ErrNotExist) {
			return nil // nobody has asked for IPVS yet
		}
		if err != nil {
			return fmt.Errorf("IPVS table of %s: %v", h.Name, err)
		}
		defer file.Close()
		lines := bufio.NewScanner(file)
		for lines.Scan() {
			if line := lines.Text(); strings.HasPrefix(line, "  -> ") && !strings.HasPrefix(line, "  -> RemoteAddress:") {
				n++
			}
		}
		return lines.Err()
	})
	return n, err
}

// AwaitIPVS waits until the host's kernel has that many destinations.
func (h *Host) AwaitIPVS(ctx context.Context, want int) error {
	for {
		n, err := h.CountIPVS()
		if err != nil || n == want {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s has %d destinations, want %d: %v", h.Name, n, want, ctx.Err())
		case <-time.After(tableInterval):
		}
	}
}
