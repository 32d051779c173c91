package checker

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Live says why the check cannot be made on this machine as it is now: the
// interface, the network namespace, the user or the program of it is missing.
// It is nil if nothing is known that speaks against it.
func (s Spec) Live() error {
	if err := s.Via.live(); err != nil {
		return err
	}
	if probe, ok := s.Probe.(interface{ Live() error }); ok {
		return probe.Live()
	}
	return nil
}

// live says why no socket can be had for the way to a target.
func (v Via) live() error {
	fd, err := v.socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	switch {
	case err == nil:
		return unix.Close(fd)
	case v.Device != "" && errors.Is(err, unix.ENODEV):
		return fmt.Errorf("device %q: no such interface on this machine", v.Device)
	}
	var local *LocalError
	if errors.As(err, &local) {
		return errors.New(local.Reason)
	}
	return err
}
