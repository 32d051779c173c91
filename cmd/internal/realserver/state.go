package realserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// stateFile is the file in the runtime directory that says what was set up.
const stateFile = "state.json"

// state is what was set up, and what was there before. It belongs below /run:
// a reboot forgets all of it, and the values from before it must not be set
// after it. (The id of the boot would tell, but in a container not to all.)
type state struct {
	// Where: so it is with a container that is started again.
	Network uint64 `json:"network"`
	// What is wanted: all else follows from it.
	Addresses []netip.Addr `json:"addresses"`
	Tunnels   []Tunnel     `json:"tunnels"`
	// What was changed, and is to be undone when nothing needs it any more.
	Added   []Place      `json:"added"`
	Sysctls []change     `json:"sysctls"`
	Devices []heldDevice `json:"devices"`
	Ports   []Port       `json:"ports"`
}

// change is a sysctl that was set.
type change struct {
	Path   string `json:"path"`
	Before int    `json:"before"`
	Set    int    `json:"set"`
}

// heldDevice is the interface of a tunnel that was changed.
type heldDevice struct {
	Name   string `json:"name"`
	Added  bool   `json:"added"`  // it was not there before
	Raised bool   `json:"raised"` // it was down before
}

// store keeps the state in a directory.
type store string

// lock makes the directory and keeps others from changing the state. They
// wait; whoever is killed has no lock any more.
func (s store) lock() (unlock func(), err error) {
	if err := os.MkdirAll(string(s), 0o700); err != nil {
		return nil, fmt.Errorf("runtime directory: %v", err)
	}
	dir, err := os.Open(string(s))
	if err != nil {
		return nil, fmt.Errorf("runtime directory: %v", err)
	}
	for {
		err := unix.Flock(int(dir.Fd()), unix.LOCK_EX)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			dir.Close()
			return nil, fmt.Errorf("lock %s: %v", s, err)
		}
		return func() { dir.Close() }, nil
	}
}

// read returns the state; without a file nothing was set up.
func (s store) read() (state, error) {
	path := filepath.Join(string(s), stateFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return state{}, nil
	}
	if err != nil {
		return state{}, fmt.Errorf("what was set up: %v", err)
	}
	var st state
	if err := json.Unmarshal(text, &st); err != nil {
		return state{}, fmt.Errorf("what was set up: %s: %v", path, err)
	}
	return st, nil
}

// write replaces the state, whole or not at all. An empty one needs no file.
func (s store) write(st state) error {
	path := filepath.Join(string(s), stateFile)
	if st.empty() {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("record what is set up: %v", err)
		}
		return nil
	}
	text, err := json.MarshalIndent(st, "", "  ")
	if err != nil {
		return fmt.Errorf("record what is set up: %v", err)
	}
	next := path + ".next"
	if err = os.WriteFile(next, text, 0o600); err == nil {
		err = os.Rename(next, path)
	}
	if err != nil {
		return fmt.Errorf("record what is set up: %v", err)
	}
	return nil
}

// empty says whether there is nothing to undo.
func (st *state) empty() bool {
	return len(st.Addresses)+len(st.Tunnels)+len(st.Added)+len(st.Sysctls)+len(st.Devices)+len(st.Ports) == 0
}

// families says of which families virtual addresses are.
func (st *state) families() (ipv4, ipv6 bool) {
	for _, a := range st.Addresses {
		ipv4 = ipv4 || a.Is4()
		ipv6 = ipv6 || a.Is6()
	}
	return ipv4, ipv6
}

// places returns where the addresses are to be: on lo, and those of IPv4 on the
// interfaces that unwrap what is sent to them, too. On an interface without any
// address of IPv4 the kernel takes loose filtering of paths for a strict one,
// and drops all that comes out of the tunnel.
func (st *state) places() []Place {
	var places []Place
	for _, a := range st.Addresses {
		places = append(places, Place{loopback, a})
		for _, w := range st.wrappings() {
			if a.Is4() && !w.inner6 {
				places = appendNew(places, Place{w.device.Name, a})
			}
		}
	}
	return places
}

// settings returns the sysctls that the addresses and tunnels need, each once.
// IPv6 needs none for the addresses: it never answers for one of another
// interface.
func (st *state) settings() []setting {
	var settings []setting
	if ipv4, _ := st.families(); ipv4 {
		settings = arpSettings()
	}
	for _, w := range st.wrappings() {
		s := pathSetting(w.device.Name)
		if w.inner6 {
			s = familySetting(w.device.Name)
		}
		if !slices.ContainsFunc(settings, func(have setting) bool { return have.path() == s.path() }) {
			settings = append(settings, s)
		}
	}
	return settings
}

// wrapping is a tunnel for the virtual addresses of one family.
type wrapping struct {
	tunnel Tunnel
	inner6 bool // the virtual addresses are of IPv6
	outer6 bool // and the packets around
	device Device
}

// wrappings returns the tunnels for the families there are.
func (st *state) wrappings() []wrapping {
	var out []wrapping
	ipv4, ipv6 := st.families()
	for _, t := range st.Tunnels {
		if ipv4 {
			out = append(out, wrapping{t, false, t.outer6(false), t.device(false)})
		}
		if ipv6 {
			out = append(out, wrapping{t, true, t.outer6(true), t.device(true)})
		}
	}
	return out
}

// devices returns the interfaces that the tunnels need for the families there
// are, each once.
func (st *state) devices() []Device {
	var devices []Device
	for _, w := range st.wrappings() {
		devices = appendNew(devices, w.device)
	}
	return devices
}

// ports returns the UDP ports that the tunnels need for the families there
// are, each once.
func (st *state) ports() []Port {
	var ports []Port
	for _, w := range st.wrappings() {
		if p, ok := w.port(); ok {
			ports = appendNew(ports, p)
		}
	}
	return ports
}

// port returns the UDP port of a tunnel that has one.
func (w wrapping) port() (Port, bool) {
	return Port{w.tunnel.Port, w.outer6}, w.tunnel.Port != 0
}
