package ipvs

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"bascule/lvs"
)

// describe names the operation in an error, if there is one, and says what it
// means where the kernel's word for it misleads.
func describe(op lvs.Op, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EPERM):
		err = fmt.Errorf("CAP_NET_ADMIN is needed: %w", err)
	case errors.Is(err, unix.EAFNOSUPPORT):
		err = fmt.Errorf("the kernel has no IPv6: %w", err)
	default:
		err = explain(op, err)
	}
	return fmt.Errorf("ipvs: %v: %w", op, err)
}

// explain says what an errno means that depends on the operation.
func explain(op lvs.Op, err error) error {
	switch op.Kind {
	case lvs.AddService, lvs.UpdateService, lvs.DeleteService:
		return explainService(op.Service, err)
	case lvs.AddDestination, lvs.UpdateDestination, lvs.DeleteDestination:
		return explainDestination(op, err)
	case lvs.StartDaemon:
		return explainDaemon(op.Daemon, err)
	case lvs.SetTimeouts:
		if errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("the kernel cannot count so far: %w", err)
		}
	}
	return err
}

// explainService explains an error of an edit of a service.
func explainService(s lvs.Service, err error) error {
	switch {
	case errors.Is(err, unix.ENOENT) && s.Persistence.Engine != "":
		return fmt.Errorf("scheduler %q or persistence engine %q: the kernel does not have it: modprobe ip_vs_%s ip_vs_pe_%s: %w",
			s.Scheduler, s.Persistence.Engine, s.Scheduler, s.Persistence.Engine, err)
	case errors.Is(err, unix.ENOENT):
		return fmt.Errorf("scheduler %q: the kernel does not have it: modprobe ip_vs_%s: %w", s.Scheduler, s.Scheduler, err)
	case errors.Is(err, unix.ESRCH):
		return fmt.Errorf("the service is not in the kernel: %w", err)
	}
	return err
}

// explainDestination explains an error of an edit of a destination.
func explainDestination(op lvs.Op, err error) error {
	switch {
	case errors.Is(err, unix.ESRCH):
		return fmt.Errorf("the service is not in the kernel: %w", err)
	case errors.Is(err, unix.EINVAL) && mixed(op):
		return fmt.Errorf("the kernel forwards to another address family only while no sync daemon runs: %w", err)
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("the kernel does not take the address for a unicast one: %w", err)
	}
	return err
}

// explainDaemon explains an error of the start of a daemon.
func explainDaemon(d lvs.SyncDaemon, err error) error {
	switch {
	case errors.Is(err, unix.ENODEV):
		return fmt.Errorf("there is no interface %q: %w", d.Interface, err)
	case errors.Is(err, unix.EADDRNOTAVAIL), errors.Is(err, unix.ENETUNREACH):
		return fmt.Errorf("interface %q is down, or has no address of the family of the multicast group: %w", d.Interface, err)
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("the kernel synchronizes no connections while a destination is of another address family than its service: %w", err)
	}
	return err
}
