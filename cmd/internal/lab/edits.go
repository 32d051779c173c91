package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// EditCounter counts what all programs ask the kernel to change in IPVS
// tables, of whichever namespace, by a probe in the kernel.
type EditCounter struct{}

// The probe, and where the kernel takes probes.
const (
	tracing   = "/sys/kernel/tracing"
	editProbe = "lab_ipvs_edits"
	// The function is called once for each edit: a service or a destination
	// added, changed or deleted.
	editFunction = "ip_vs_genl_set_cmd"
)

// NewEditCounter puts the probe in. The module ip_vs must be there: read a
// table first. Close takes the probe out.
func NewEditCounter() (*EditCounter, error) {
	if _, err := os.Stat(filepath.Join(tracing, "kprobe_events")); err != nil {
		if err := unix.Mount("tracefs", tracing, "tracefs", 0, ""); err != nil {
			return nil, fmt.Errorf("mount %s: %v", tracing, err)
		}
	}
	if err := writeTracing("kprobe_events", "p:"+editProbe+" "+editFunction); err != nil {
		return nil, err
	}
	c := &EditCounter{}
	if err := writeTracing("events/kprobes/"+editProbe+"/enable", "1"); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// Count returns how many edits there have been since the probe was put in.
func (c *EditCounter) Count() (int, error) {
	text, err := os.ReadFile(filepath.Join(tracing, "kprobe_profile"))
	if err != nil {
		return 0, fmt.Errorf("count of edits: %v", err)
	}
	return parseProbeProfile(string(text), editProbe)
}

// parseProbeProfile reads the hits of a probe out of kprobe_profile.
func parseProbeProfile(text, probe string) (int, error) {
	for line := range strings.Lines(text) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == probe {
			return strconv.Atoi(fields[1])
		}
	}
	return 0, fmt.Errorf("the kernel does not know the probe %s: %q", probe, text)
}

// Close takes the probe out.
func (c *EditCounter) Close() error {
	return errors.Join(
		writeTracing("events/kprobes/"+editProbe+"/enable", "0"),
		writeTracing("kprobe_events", "-:"+editProbe))
}

// writeTracing gives the kernel an order. Appended: else it would take the
// probes of others out.
func writeTracing(name, order string) error {
	file, err := os.OpenFile(filepath.Join(tracing, name), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return fmt.Errorf("probe in the kernel: %v", err)
	}
	_, err = file.WriteString(order + "\n")
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("probe in the kernel: %q: %v", order, err)
	}
	return nil
}
