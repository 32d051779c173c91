package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"bascule/cmd/internal/config"
	"bascule/lvs"
	"bascule/lvs/director"
	"bascule/vrrp"
)

// recordName is the file in the state directory.
const recordName = "installed.json"

// record is what this director may have put into the kernel. It survives a
// crash, so that a successor removes what its own configuration does not
// want, and nothing else.
type record struct {
	Addresses map[string][]netip.Prefix `json:"addresses"` // by interface
	Services  []recordedService         `json:"services"`
	Sync      []recordedSync            `json:"connection_sync,omitempty"` // in any role
}

// recordedSync is an lvs.SyncDaemon, as it is wanted.
type recordedSync struct {
	Interface string     `json:"interface"`
	ID        uint8      `json:"id"`
	Group     netip.Addr `json:"multicast_group,omitzero"`
	Port      uint16     `json:"port,omitempty"`
	TTL       uint8      `json:"ttl,omitempty"`
	MaxLength uint16     `json:"max_length,omitempty"`
}

// daemons returns the sync daemons as the lvs package names them.
func (r record) daemons() []lvs.SyncDaemon {
	var daemons []lvs.SyncDaemon
	for _, s := range r.Sync {
		daemons = append(daemons, lvs.SyncDaemon{
			Interface: s.Interface, ID: s.ID, Group: s.Group, Port: s.Port, TTL: s.TTL, MaxLength: s.MaxLength,
		})
	}
	return daemons
}

// recordedService is an lvs.ServiceKey in a form that stays readable.
type recordedService struct {
	Protocol string         `json:"protocol,omitempty"` // empty of a firewall mark
	Address  netip.AddrPort `json:"address"`            // of a firewall mark: the unspecified one of its family
	Mark     uint32         `json:"fwmark,omitempty"`
}

// newRecordedService returns a service as it is recorded.
func newRecordedService(key lvs.ServiceKey) recordedService {
	if key.Mark != 0 {
		return recordedService{Address: key.Address, Mark: key.Mark}
	}
	return recordedService{Protocol: key.Protocol.String(), Address: key.Address}
}

// key returns the service as the lvs package names it, or false if it has a
// protocol that is not known.
func (s recordedService) key() (lvs.ServiceKey, bool) {
	if s.Mark != 0 {
		return lvs.MarkKey(s.Mark, s.Address.Addr().Is6()), true
	}
	for _, p := range lvs.Protocols() {
		if p.String() == s.Protocol {
			return lvs.ServiceKey{Protocol: p, Address: s.Address}, true
		}
	}
	return lvs.ServiceKey{}, false
}

// newRecord returns what a configuration may install, except the addresses of
// an owner: who has put them there, and when, is not known here. Taken for ours
// after a crash, an interface's own address would be taken from it; one of ours
// that stays is wanted by its owner anyway.
func newRecord(node *config.Node) record {
	r := record{Addresses: make(map[string][]netip.Prefix)}
	for _, g := range node.Groups {
		if g.Priority == vrrp.Owner {
			continue
		}
		for _, router := range g.Routers {
			r.Addresses[router.Interface] = append(r.Addresses[router.Interface], router.Addresses...)
		}
	}
	for _, vs := range node.VirtualServers {
		for _, service := range vs.Services {
			r.Services = append(r.Services, newRecordedService(service.ServiceKey))
		}
	}
	if node.Sync != nil {
		d := node.Sync.Daemon
		r.Sync = []recordedSync{{Interface: d.Interface, ID: d.ID, Group: d.Group, Port: d.Port, TTL: d.TTL, MaxLength: d.MaxLength}}
	}
	return r
}

// union returns what either record holds, each once.
func (r record) union(other record) record {
	all := record{Addresses: make(map[string][]netip.Prefix)}
	type address struct {
		iface string
		netip.Prefix
	}
	addresses, services := make(map[address]bool), make(map[recordedService]bool)
	for _, part := range []record{r, other} {
		for iface, list := range part.Addresses {
			for _, p := range list {
				if a := (address{iface, p}); !addresses[a] {
					addresses[a] = true
					all.Addresses[iface] = append(all.Addresses[iface], p)
				}
			}
		}
		for _, s := range part.Services {
			if !services[s] {
				services[s] = true
				all.Services = append(all.Services, s)
			}
		}
	}
	for _, s := range slices.Concat(r.Sync, other.Sync) {
		if !slices.Contains(all.Sync, s) {
			all.Sync = append(all.Sync, s)
		}
	}
	return all
}

// covers reports whether the record holds all that the kernel may have because
// of us.
func (r record) covers(status *director.Status) bool {
	daemons := r.daemons()
	if slices.ContainsFunc(status.Left, func(d lvs.SyncDaemon) bool { return !slices.Contains(daemons, d) }) {
		return false
	}
	for _, role := range status.OwnedRoles {
		running, found := status.Daemons[role]
		if found && !slices.ContainsFunc(daemons, func(d lvs.SyncDaemon) bool { return d.In(running) }) {
			return false
		}
	}
	held := make(map[recordedService]bool, len(r.Services))
	for _, s := range r.Services {
		held[s] = true
	}
	return !slices.ContainsFunc(status.Owned, func(key lvs.ServiceKey) bool { return !held[newRecordedService(key)] })
}

// keys returns the services as the lvs package names them. A protocol that it
// does not know is not ours to touch.
func (r record) keys() []lvs.ServiceKey {
	var keys []lvs.ServiceKey
	for _, s := range r.Services {
		if key, ok := s.key(); ok {
			keys = append(keys, key)
		}
	}
	return keys
}

// readRecord reads the record of a state directory. No file is an empty
// record.
func readRecord(dir string) (record, error) {
	var r record
	path := filepath.Join(dir, recordName)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return record{}, fmt.Errorf("%s: %v", path, err)
	}
	return r, nil
}

// write replaces the record of a state directory.
func (r record) write(dir string) error { return replaceFile(dir, recordName, r) }

// replaceFile replaces a file of JSON at once: a crash leaves the old one or
// the new one.
func replaceFile(dir, name string, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, name+".*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(append(text, '\n'))
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), filepath.Join(dir, name))
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
	}
	return err
}
