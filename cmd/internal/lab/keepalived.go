package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// KeepalivedConfig is what keepalived on one host is told. The virtual
// routers are always those of the laboratory.
type KeepalivedConfig struct {
	Priority int           // 1 to 255; 255: it owns the addresses, and says MASTER
	Interval time.Duration // between advertisements; 0: 1 s
	// NoPreempt leaves a director of lower priority active.
	NoPreempt bool
	Families  Families // of the virtual routers
	Version   int      // of VRRP for IPv4, 2 or 3; 0: 3. IPv6 has only 3.
	Password  string   // authentication PASS, for version 2; empty: none
	// Unicast has it speak with the other director only, by the addresses that
	// the hosts were built with.
	Unicast bool
	// UnicastTTL is the TTL or Hop Limit in unicast (unicast_ttl); 0: what
	// keepalived takes, 255 for IPv4, and 64 for IPv6, which is the kernel's.
	UnicastTTL int
	// Checksum of version 3 for IPv4; empty: with the pseudo-header. Only 2.2.8
	// and later can do without (v3_checksum_as_v2); it accepts either then.
	Checksum ChecksumForm
	// Single leaves out the sync group: each virtual router moves alone.
	Single bool
	// Services are what it balances; that needs IPVS.
	Services []Service
	// Sync has the active director tell the other one its connections
	// (lvs_sync_daemon), on the internal LAN.
	Sync bool
	// Root is the directory of the Debian whose keepalived is to run; empty:
	// this machine's.
	Root string
}

// Keepalived is keepalived(8) on one host: what Bascule must be able to share
// a virtual router with, and what it is compared to.
type Keepalived struct {
	host    *Host
	process *Process
	routers []keepalivedRouter
}

// StartKeepalived runs keepalived on a director's host, VRRP only unless it is
// to balance too. Close of the laboratory kills it.
func StartKeepalived(host *Host, config KeepalivedConfig) (*Keepalived, error) {
	routers, err := keepalivedRouters(host, config)
	if err != nil {
		return nil, err
	}
	text, err := keepalivedText(host.Name, routers, config)
	if err != nil {
		return nil, fmt.Errorf("configuration of keepalived on %s: %v", host.Name, err)
	}
	options := []string{"--log-detail"}
	if len(config.Services) == 0 {
		options = append(options, "--vrrp")
	}
	process, err := launchKeepalived(host, config.Root, text, options...)
	if err != nil {
		return nil, err
	}
	return &Keepalived{host, process, routers}, nil
}

// launchKeepalived runs the keepalived of a root, "" being that of the machine,
// with a configuration as it stands.
func launchKeepalived(host *Host, root, text string, options ...string) (*Process, error) {
	directory, err := writeKeepalived(host, text)
	if err != nil {
		return nil, err
	}
	// Several may run on one machine: each has process id files of its own.
	// Those of a killed one would stop it from starting where nobody has
	// reaped its children yet.
	pids := map[string]string{"--pid": "keepalived.pid", "--vrrp_pid": "keepalived-vrrp.pid", "--checkers_pid": "keepalived-checkers.pid"}
	seen := directory // as keepalived sees it
	if root != "" {
		seen = rootMount
	}
	args := append([]string{"--dont-fork", "--log-console", "--no-syslog", "--use-file", filepath.Join(seen, "keepalived.conf")}, options...)
	for option, name := range pids {
		if err := os.Remove(filepath.Join(directory, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("keepalived on %s: %v", host.Name, err)
		}
		args = append(args, option, filepath.Join(seen, name))
	}
	return host.startIn(root, directory, "keepalived", args...)
}

// writeKeepalived writes the configuration file of keepalived and returns its
// directory, which is the host's.
func writeKeepalived(host *Host, text string) (directory string, err error) {
	if directory, err = host.Directory(); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(directory, "keepalived.conf"), []byte(text), 0o644); err != nil {
		return "", fmt.Errorf("configuration of keepalived on %s: %v", host.Name, err)
	}
	return directory, nil
}

// Holds says whether keepalived's host has an address now.
func (k *Keepalived) Holds(address netip.Addr) (bool, error) { return k.host.HasAddress(address) }

// Host returns the host that keepalived runs on.
func (k *Keepalived) Host() *Host { return k.host }

// Ready waits until all virtual routers take part in the election: one starts
// in Fault where its interface has no usable address yet.
func (k *Keepalived) Ready(ctx context.Context) error {
	return k.process.awaitLog(ctx, "all routers to be BACKUP or MASTER", func(text string) bool {
		return !slices.ContainsFunc(k.routers, func(r keepalivedRouter) bool {
			return !strings.Contains(text, "("+r.Name+") Entering BACKUP STATE") && !strings.Contains(text, "("+r.Name+") Entering MASTER STATE")
		})
	})
}

// Stop ends keepalived in order: it gives up its addresses and tells so.
func (k *Keepalived) Stop(ctx context.Context) error { return k.process.Stop(ctx) }

// Kill ends keepalived and its children at once, as a crash of the machine
// does; its addresses stay.
func (k *Keepalived) Kill() error { return k.process.Kill() }

// Log returns what keepalived has written.
func (k *Keepalived) Log() string { return k.process.Log() }
