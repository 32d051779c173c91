package lab

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Usage is what a process and its descendants use of the machine.
type Usage struct {
	CPU time.Duration // since they were started
	RSS int64         // bytes; memory that several of them share counts for each
}

// userHZ is the unit of times in /proc/PID/stat, for all that Debian runs on.
const userHZ = 100

// Usage returns what the process and its descendants have used up to now.
func (p *Process) Usage() (Usage, error) { return usage(p.PID()) }

// Usage returns what all processes of keepalived have used up to now.
func (k *Keepalived) Usage() (Usage, error) { return k.process.Usage() }

// Usage returns what bascule has used up to now.
func (d *Director) Usage() (Usage, error) { return d.process.Usage() }

// Memory returns the memory of the process and its descendants in bytes. What
// several processes share is shared out among them (Pss in proc(5)).
func (p *Process) Memory() (int64, error) { return proportional(p.PID()) }

// Memory returns the memory of all processes of keepalived.
func (k *Keepalived) Memory() (int64, error) { return k.process.Memory() }

// Memory returns the memory of bascule.
func (d *Director) Memory() (int64, error) { return d.process.Memory() }

// proportional sums up the memory of a process and its descendants.
func proportional(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, fmt.Errorf("memory of process %d: %v", pid, err)
	}
	total, err := kilobytes(string(text), "Pss")
	if err != nil {
		return 0, fmt.Errorf("memory of process %d: %v", pid, err)
	}
	for _, child := range children(pid) {
		more, err := proportional(child)
		if err != nil {
			return 0, err
		}
		total += more
	}
	return total, nil
}

// kilobytes returns the bytes that a file of proc(5) says of a name.
func kilobytes(text, name string) (int64, error) {
	_, rest, found := strings.Cut(text, "\n"+name+":")
	words := strings.Fields(rest)
	if !found || len(words) < 2 || words[1] != "kB" {
		return 0, fmt.Errorf("no %s in kB", name)
	}
	n, err := strconv.ParseInt(words[0], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %v", name, err)
	}
	return n << 10, nil
}

// usage sums up a process and its descendants.
func usage(pid int) (Usage, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Usage{}, fmt.Errorf("usage of process %d: %v", pid, err)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return Usage{}, fmt.Errorf("usage of process %d: %v", pid, err)
	}
	u, err := parseUsage(string(stat), string(status))
	if err != nil {
		return Usage{}, fmt.Errorf("usage of process %d: %v", pid, err)
	}
	for _, child := range children(pid) {
		more, err := usage(child)
		if err != nil {
			return Usage{}, err
		}
		u.CPU, u.RSS = u.CPU+more.CPU, u.RSS+more.RSS
	}
	return u, nil
}

// parseUsage reads the files stat and status of proc(5).
func parseUsage(stat, status string) (Usage, error) {
	// The name of the program may contain anything, but it is the only thing
	// in parentheses. The state follows, field 3.
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	const utime, stime = 14 - 3, 15 - 3
	if len(fields) <= stime {
		return Usage{}, fmt.Errorf("stat has %d fields after the name, want more than %d", len(fields), stime)
	}
	var ticks int64
	for _, field := range fields[utime : stime+1] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return Usage{}, fmt.Errorf("time in stat: %v", err)
		}
		ticks += n
	}
	resident, err := kilobytes(status, "VmRSS")
	if err != nil {
		return Usage{}, fmt.Errorf("status: %v", err)
	}
	return Usage{CPU: time.Duration(ticks) * time.Second / userHZ, RSS: resident}, nil
}
