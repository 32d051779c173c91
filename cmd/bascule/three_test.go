//go:build !ipvs

package main

import (
	"testing"

	"bascule/cmd/internal/lab"
)

// threeConfig is three directors on one LAN with two groups whose order of
// preference differs. The client's machine is the third.
const threeConfig = `
nodes = ["lb", "lb2", "client"]

[group.web]
priority = { lb = 150, lb2 = 120, client = 90 }
advertisement_interval = "200ms"
router.public = { interface = "enp0s3", vrid = 56, addresses = ["192.168.56.10/24"] }

[group.mail]
priority = { lb = 150, lb2 = 80, client = 110 }
advertisement_interval = "200ms"
router.public = { interface = "enp0s3", vrid = 57, addresses = ["192.168.56.25/24"] }
`

// TestThreeDirectors: the next in line of each group takes over when one goes,
// and others stay where they are.
func TestThreeDirectors(t *testing.T) {
	t.Parallel()
	l := lab.NewT(t)
	capture, err := l.Capture()
	must(t, err)
	directors := make(map[string]*lab.Director)
	for _, host := range []*lab.Host{l.LB, l.LB2, l.Client} {
		d := newDirector(t, host, threeConfig)
		must(t, d.Start(bounded(t)))
		directors[host.Name] = d
	}
	expect := func(group string, states map[string]string) {
		t.Helper()
		for node, state := range states {
			_, err := directors[node].AwaitState(bounded(t), group, state)
			must(t, err)
		}
	}
	expect("web", map[string]string{"lb": "active", "lb2": "backup", "client": "backup"})
	expect("mail", map[string]string{"lb": "active", "lb2": "backup", "client": "backup"})

	must(t, directors["lb"].Stop(bounded(t)))
	expect("web", map[string]string{"lb2": "active", "client": "backup"})
	expect("mail", map[string]string{"lb2": "backup", "client": "active"})

	must(t, directors["lb2"].Kill())
	must(t, l.LB2.CutLinks())
	expect("web", map[string]string{"client": "active"})
	expect("mail", map[string]string{"client": "active"})

	must(t, directors["lb"].Start(bounded(t)))
	expect("web", map[string]string{"lb": "active", "client": "backup"})
	expect("mail", map[string]string{"lb": "active", "client": "backup"})
	noTwoActives(t, capture)
}
