//go:build !ipvs

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bascule/cmd/internal/control"
	"bascule/cmd/internal/lab"
)

// signedConfig is one group that is signed as the last argument says.
const signedConfig = `
nodes = ["lb", "lb2"]

[group.web]
priority = { lb = 150, lb2 = 100 }
advertisement_interval = "400ms"
%s

[group.web.router.four]
interface = "enp0s3"
vrid = 56
addresses = ["192.168.56.10/24"]

[group.web.router.six]
interface = "enp0s3"
vrid = 56
addresses = ["fe80::10/64"]
`

// The keys of the tests, a line of a key file each.
const (
	key1 = "1 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"
	key2 = "2 f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff\n"
)

// signer is a director with a key file of its own.
type signer struct {
	*lab.Director
	t    *testing.T
	keys string // the path
}

// newSigner prepares a director that does not sign yet.
func newSigner(t *testing.T, host *lab.Host) *signer {
	t.Helper()
	directory, err := host.Directory()
	must(t, err)
	return &signer{newDirector(t, host, fmt.Sprintf(signedConfig, "")), t, filepath.Join(directory, "web.keys")}
}

// change writes the key file and the configuration; mode "" does not sign.
func (s *signer) change(mode string, active int, keys string) {
	s.t.Helper()
	must(s.t, os.WriteFile(s.keys, []byte(keys), 0o600))
	authentication := ""
	if mode != "" {
		authentication = fmt.Sprintf("authentication = { key_file = %q, active_key = %d, mode = %q }", s.keys, active, mode)
	}
	must(s.t, s.WriteConfig(fmt.Sprintf(signedConfig, authentication)))
}

// status returns the only group of the director.
func (s *signer) status() control.Group {
	s.t.Helper()
	text, err := s.Control(bounded(s.t), "status", "--json")
	must(s.t, err)
	var status control.Status
	must(s.t, json.Unmarshal([]byte(text), &status))
	if len(status.Groups) != 1 || strings.Contains(text, key1[2:34]) || strings.Contains(text, key2[2:34]) {
		s.t.Fatalf("status without its group, or with a secret: %s", text)
	}
	return status.Groups[0]
}

// TestKeysRollOver takes a pair from no signatures to enforced ones, and from
// one key to another, director by director with a reload each: nobody takes
// over, and not one advertisement is dropped.
func TestKeysRollOver(t *testing.T) {
	t.Parallel()
	l := lab.NewT(t)
	must(t, l.LB.AwaitLinkLocal(bounded(t)))
	must(t, l.LB2.AwaitLinkLocal(bounded(t)))
	capture, err := l.Capture()
	must(t, err)
	lb, lb2 := newSigner(t, l.LB), newSigner(t, l.LB2)
	must(t, lb2.Start(bounded(t)))
	must(t, lb.Start(bounded(t)))
	awaitAddress(t, l.LB, "fe80::10", true)
	awaitAddress(t, l.LB2, "fe80::10", false)
	before, active := lb2.status(), lb.status()

	for _, step := range []struct {
		mode   string
		active int
		keys   string
	}{
		{"receive-only", 1, key1},
		{"permissive", 1, key1},
		{"enforce", 1, key1},
		{"enforce", 1, key1 + key2},
		{"enforce", 2, key1 + key2},
		{"enforce", 2, key2},
	} {
		for _, s := range []*signer{lb2, lb} {
			s.change(step.mode, step.active, step.keys)
			must(t, s.Reload(bounded(t)))
			awaitHeard(t, lb2, 3)
		}
		if got := lb.status().Routers[0].Authentication; got == nil || got.Mode != step.mode || got.ActiveKey != step.active {
			t.Errorf("status after step %v: %+v", step, got)
		}
	}
	after := lb2.status()
	if after.State != "backup" || !after.Since.Equal(before.Since) || !lb.status().Since.Equal(active.Since) {
		t.Errorf("somebody took over: %+v, then %+v", before, after)
	}
	for i, r := range after.Routers {
		if was := before.Routers[i].Counters.Dropped; fmt.Sprint(r.Counters.Dropped) != fmt.Sprint(was) {
			t.Errorf("%s dropped %v, before the changes %v", r.Name, r.Counters.Dropped, was)
		}
	}
	frames, err := capture.Stop()
	must(t, err)
	if got := keysOf(frames, l.LB); got != "0 1 2" {
		t.Errorf("lb signed with the keys %s in turn, want 0 1 2", got)
	}

	// A key file that others can read changes nothing.
	must(t, os.Chmod(lb.keys, 0o644))
	if err := lb.Reload(bounded(t)); err == nil || !strings.Contains(err.Error(), "has mode 0644") {
		t.Errorf("reload = %v", err)
	}
	awaitHeard(t, lb2, 3)
	// One who signs with another key is not heard, and both say so.
	lb2.change("enforce", 2, "2"+key1[1:])
	must(t, lb2.Reload(bounded(t)))
	for _, s := range []*signer{lb, lb2} {
		_, err := s.Await(bounded(t), "a problem with signatures", func(st lab.Status) bool {
			return strings.Contains(strings.Join(st.Problems, "\n"), "signature")
		})
		must(t, err)
	}
	if logs := lb.Log() + lb2.Log(); strings.Contains(logs, key1[2:34]) || strings.Contains(logs, key2[2:34]) {
		t.Error("a secret is in the log")
	}
}

// awaitHeard waits until a backup has heard that many more advertisements on
// each of its routers.
func awaitHeard(t *testing.T, s *signer, more uint64) {
	t.Helper()
	before := s.status()
	_, err := s.Await(bounded(t), "advertisements", func(lab.Status) bool {
		for i, r := range s.status().Routers {
			if r.Counters.Received < before.Routers[i].Counters.Received+more {
				return false
			}
		}
		return true
	})
	must(t, err)
}

// keysOf lists the identifiers of the keys in the trailers that a host sent, 0
// for none, each change once. Both families must agree.
func keysOf(frames []lab.Frame, host *lab.Host) string {
	const trailer = 28
	var ids [2][]string
	for _, f := range frames {
		if f.Kind != lab.Advertisement || !host.Sent(f) {
			continue
		}
		id := "0"
		if len(f.Trailer) == trailer {
			id = fmt.Sprint(f.Trailer[1])
		}
		list := &ids[0]
		if f.Source.Is6() {
			list = &ids[1]
		}
		if n := len(*list); n == 0 || (*list)[n-1] != id {
			*list = append(*list, id)
		}
	}
	if four, six := strings.Join(ids[0], " "), strings.Join(ids[1], " "); four != six {
		return fmt.Sprintf("%s (IPv4) and %s (IPv6)", four, six)
	}
	return strings.Join(ids[0], " ")
}
