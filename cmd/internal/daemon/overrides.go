package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"bascule/lvs"
)

// overridesName is the file in the state directory with the administrator's
// decisions about real servers.
const overridesName = "overrides.json"

// storedOverride is an lvs.StoredOverride in a form that stays readable.
type storedOverride struct {
	VirtualServer string          `json:"virtual_server,omitempty"`
	Service       recordedService `json:"service"`
	RealServer    netip.AddrPort  `json:"real_server"`
	Drain         bool            `json:"drain,omitempty"`
	Weight        uint32          `json:"weight,omitempty"` // unless it is drained
	Reason        string          `json:"reason,omitempty"`
	Since         time.Time       `json:"since"`
}

// readOverrides reads the decisions that a predecessor has stored. No file is
// none.
func readOverrides(dir string) ([]lvs.StoredOverride, error) {
	path := filepath.Join(dir, overridesName)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var stored []storedOverride
	if err := json.Unmarshal(text, &stored); err != nil {
		return nil, fmt.Errorf("%s: %v", path, err)
	}
	var overrides []lvs.StoredOverride
	for _, s := range stored {
		key, ok := s.Service.key()
		if !ok {
			continue
		}
		o := lvs.Override{Kind: lvs.Weigh, Weight: s.Weight, Reason: s.Reason, Since: s.Since}
		if s.Drain {
			o.Kind, o.Weight = lvs.Drain, 0
		}
		overrides = append(overrides, lvs.StoredOverride{
			VirtualServer: s.VirtualServer, Key: lvs.RealServerKey{Service: key, Address: s.RealServer}, Override: o,
		})
	}
	return overrides, nil
}

// writeOverrides replaces the stored decisions.
func writeOverrides(dir string, overrides []lvs.StoredOverride) error {
	stored := make([]storedOverride, 0, len(overrides))
	for _, o := range overrides {
		stored = append(stored, storedOverride{
			VirtualServer: o.VirtualServer, Service: newRecordedService(o.Key.Service), RealServer: o.Key.Address,
			Drain: o.Override.Kind == lvs.Drain, Weight: o.Override.Weight, Reason: o.Override.Reason, Since: o.Override.Since,
		})
	}
	return replaceFile(dir, overridesName, stored)
}

// openOverrides reads the administrator's decisions that a predecessor stored.
func (d *daemon) openOverrides() []lvs.StoredOverride {
	overrides, err := readOverrides(d.options.StateDir)
	if err != nil {
		d.log.Warn("decisions about real servers not readable, starting without them", "error", err.Error())
	}
	return overrides
}

// storeOverrides writes the decisions that are in force now, unless they are
// what is stored. The latest writer writes the latest ones.
func (d *daemon) storeOverrides() error {
	d.storing.Lock()
	defer d.storing.Unlock()
	inForce := d.director.Snapshot().Overrides
	if stored, err := readOverrides(d.options.StateDir); err == nil && slices.EqualFunc(stored, inForce, sameOverride) {
		return nil
	}
	return writeOverrides(d.options.StateDir, inForce)
}

// sameOverride compares stored decisions.
func sameOverride(a, b lvs.StoredOverride) bool {
	same := a.Override.Since.Equal(b.Override.Since)
	a.Override.Since, b.Override.Since = time.Time{}, time.Time{}
	return same && a == b
}

// settleOverrides stores what a configuration has left of the decisions, once
// the director has taken it: a successor would else put those into force that
// were lost. A file that cannot be read is left as it is while there is nothing
// to store.
func (d *daemon) settleOverrides(ctx context.Context) {
	if d.director.Taken(ctx) != nil {
		return
	}
	if _, err := readOverrides(d.options.StateDir); err != nil && len(d.director.Snapshot().Overrides) == 0 {
		return
	}
	if err := d.storeOverrides(); err != nil && ctx.Err() == nil { // else the daemon has ended, and its log with it
		d.log.Warn("decisions about real servers not stored", "error", err.Error())
	}
}
