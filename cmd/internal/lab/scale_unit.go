package lab

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// AsUnit writes a program that runs another one with the scheduling that a
// systemd unit gives its service, and returns its path on the host's
// directory. Where there is no systemd, a measurement gets the same from it.
func AsUnit(host *Host, unit, binary string) (string, error) {
	text, err := os.ReadFile(unit)
	if err != nil {
		return "", fmt.Errorf("scheduling of the unit: %v", err)
	}
	launcher, err := unitLauncher(string(text))
	if err != nil {
		return "", fmt.Errorf("scheduling of %s: %v", unit, err)
	}
	binary, err = filepath.Abs(binary)
	if err != nil {
		return "", fmt.Errorf("path of the program: %v", err)
	}
	directory, err := host.Directory()
	if err != nil {
		return "", err
	}
	path := filepath.Join(directory, filepath.Base(binary)+"-as-unit")
	script := "#!/bin/sh -e\n" + launcher + "exec '" + binary + "' \"$@\"\n"
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		return "", fmt.Errorf("launcher: %v", err)
	}
	return path, nil
}

// unitLauncher returns the commands by which a shell gives itself what the unit
// says: Nice=, and CPUSchedulingPolicy= with its priority (systemd.exec(5)).
func unitLauncher(unit string) (string, error) {
	settings := map[string]string{}
	for line := range strings.Lines(unit) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		settings[key] = value // the last one wins
	}
	var launcher string
	if nice := settings["Nice"]; nice != "" {
		launcher += "renice -n " + nice + " -p $$ >/dev/null\n"
	}
	priority := settings["CPUSchedulingPriority"]
	switch policy := settings["CPUSchedulingPolicy"]; policy {
	case "", "other":
		if priority != "" {
			return "", fmt.Errorf("CPUSchedulingPriority=%s without a policy of real time", priority)
		}
	case "rr", "fifo":
		launcher += "chrt --" + policy + " -p " + cmp.Or(priority, "1") + " $$\n"
	default:
		return "", fmt.Errorf("CPUSchedulingPolicy=%s, want other, rr or fifo", policy)
	}
	return launcher, nil
}
