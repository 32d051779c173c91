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
)

// recordName is the file in the state directory.
const recordName = "installed.json"

// record is what this director may have put into the kernel. It survives a
// crash, so that a successor removes what its own configuration does not
// want, and nothing else.
type record struct {
	Addresses map[string][]netip.Prefix `json:"addresses"` // by interface
	Services  []recordedService         `json:"services"`
}

// recordedService is an lvs.ServiceKey in a form that stays readable.
type recordedService struct {
	Protocol string         `json:"protocol"`
	Address  netip.AddrPort `json:"address"`
}

// newRecord returns what a configuration may install.
func newRecord(node *config.Node) record {
	r := record{Addresses: make(map[string][]netip.Prefix)}
	for _, g := range node.Groups {
		for _, router := range g.Routers {
			r.Addresses[router.Interface] = append(r.Addresses[router.Interface], router.Addresses...)
		}
	}
	for _, vs := range node.VirtualServers {
		r.Services = append(r.Services, recordedService{vs.Protocol.String(), vs.Address})
	}
	return r
}

// union returns what either record holds.
func (r record) union(other record) record {
	all := record{Addresses: make(map[string][]netip.Prefix), Services: slices.Clone(r.Services)}
	for _, part := range []record{r, other} {
		for iface, addresses := range part.Addresses {
			for _, p := range addresses {
				if !slices.Contains(all.Addresses[iface], p) {
					all.Addresses[iface] = append(all.Addresses[iface], p)
				}
			}
		}
	}
	for _, s := range other.Services {
		if !slices.Contains(all.Services, s) {
			all.Services = append(all.Services, s)
		}
	}
	return all
}

// covers reports whether the record holds all of the services.
func (r record) covers(keys []lvs.ServiceKey) bool {
	return !slices.ContainsFunc(keys, func(key lvs.ServiceKey) bool {
		return !slices.Contains(r.Services, recordedService{key.Protocol.String(), key.Address})
	})
}

// keys returns the services as the lvs package names them. A protocol that it
// does not know is not ours to touch.
func (r record) keys() []lvs.ServiceKey {
	var keys []lvs.ServiceKey
	for _, s := range r.Services {
		for _, p := range []lvs.Protocol{lvs.TCP, lvs.UDP} {
			if p.String() == s.Protocol {
				keys = append(keys, lvs.ServiceKey{Protocol: p, Address: s.Address})
			}
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

// write replaces the record of a state directory at once: a crash leaves the
// old one or the new one.
func (r record) write(dir string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, recordName+".*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(append(text, '\n'))
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), filepath.Join(dir, recordName))
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
	}
	return err
}
