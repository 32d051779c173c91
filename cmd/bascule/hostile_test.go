//go:build !ipvs

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bascule/cmd/internal/control"
	"bascule/cmd/internal/lab"
	"bascule/vrrp"
)

// hostileInterval is the advertisement interval under attack: short, so that
// there are many advertisements to miss, and long beside what a slow machine
// does to a wake-up.
const hostileInterval = 500 * time.Millisecond

// hostileFlood is how many packets the attacker sends.
const hostileFlood = 100_000

// hostileConfig has a group that believes everybody on the segment, and one
// that believes who has the key.
const hostileConfig = `
nodes = ["lb", "lb2"]

[group.open]
priority = { lb = 150, lb2 = 100 }
advertisement_interval = "500ms"
router.public = { interface = "enp0s3", vrid = 56, addresses = ["192.168.56.10/24"] }

[group.signed]
priority = { lb = 150, lb2 = 100 }
advertisement_interval = "500ms"
authentication = { key_file = "%s", active_key = 1, mode = "enforce" }
router.public = { interface = "enp0s3", vrid = 58, addresses = ["192.168.56.58/24"] }
`

// The hosts of the segment: the attacker speaks as one that is not there.
var (
	hostileActive  = netip.MustParseAddr("192.168.56.11")
	hostileForeign = netip.MustParseAddr("192.168.56.66")
	hostileGroup   = vrrp.IPv4.MulticastAddress()
)

// forgery is one kind of packet that the attacker sends.
type forgery struct {
	name   string
	packet lab.Packet
	reason vrrp.DropReason // why it is dropped
	vrid   int             // of the router that counts it; 0: no router
	// seen says which directors get to see it, the active one first: the kernel
	// has dropped what is for another, or claims to come from itself.
	seen [2]bool
}

// hostileAdvertisement is a valid advertisement, changed.
func hostileAdvertisement(vrid uint8, change func(*vrrp.Advertisement)) []byte {
	adv := vrrp.Advertisement{
		VRID: vrid, Priority: 254, Interval: hostileInterval,
		Addresses: []netip.Addr{netip.MustParseAddr("192.168.56.10")},
	}
	change(&adv)
	return adv.Append(nil, hostileForeign, hostileGroup, vrrp.Encoding{})
}

// forgeries returns one packet of every kind. recorded is a signed
// advertisement of the active director.
func forgeries(recorded []byte) []forgery {
	plain := func(vrid uint8) []byte { return hostileAdvertisement(vrid, func(*vrrp.Advertisement) {}) }
	edited := func(b []byte, edit func([]byte) []byte) []byte { return edit(bytes.Clone(b)) }
	foreign := lab.Packet{Source: hostileForeign, Destination: hostileGroup, TTL: 255}
	from := func(source netip.Addr, payload []byte) lab.Packet {
		p := foreign
		p.Source, p.Payload = source, payload
		return p
	}
	as := func(payload []byte) lab.Packet { return from(hostileForeign, payload) }
	far := as(plain(56))
	far.TTL = 254
	direct := as(nil)
	direct.Destination = hostileActive
	direct.Payload = vrrp.Advertisement{VRID: 56, Priority: 254, Interval: hostileInterval}.Append(nil, hostileForeign, hostileActive, vrrp.Encoding{})
	stale := vrrp.Advertisement{VRID: 58, Priority: 254, Interval: hostileInterval}
	forged := stale.Append(nil, hostileForeign, hostileGroup, vrrp.Encoding{Key: &vrrp.Key{ID: 1, Secret: []byte("guessed")}, Stamp: 1})
	unknown := stale.Append(nil, hostileForeign, hostileGroup, vrrp.Encoding{Key: &vrrp.Key{ID: 9, Secret: []byte("guessed")}, Stamp: 1})
	list := []forgery{
		{name: "TTL", packet: far, reason: vrrp.DropTTL, vrid: 56},
		{name: "checksum", packet: as(edited(plain(56), func(b []byte) []byte { b[2]--; return b })), reason: vrrp.DropChecksum, vrid: 56},
		{name: "length", packet: as(plain(56)[:10]), reason: vrrp.DropLength, vrid: 56},
		{name: "version", packet: as(edited(plain(56), func(b []byte) []byte { b[0] = 0x71; return b })), reason: vrrp.DropVersion, vrid: 56},
		{name: "type", packet: as(edited(plain(56), func(b []byte) []byte { b[0] = 0x3f; return b })), reason: vrrp.DropType, vrid: 56},
		{name: "interval", packet: as(hostileAdvertisement(56, func(a *vrrp.Advertisement) { a.Interval = 0 })), reason: vrrp.DropInterval, vrid: 56},
		{name: "destination", packet: direct, reason: vrrp.DropDestination, vrid: 56},
		{name: "unknown VRID", packet: as(plain(57)), reason: vrrp.DropVRID},
		{name: "unsigned", packet: as(plain(58)), reason: vrrp.DropUnsigned, vrid: 58},
		{name: "unknown key", packet: as(unknown), reason: vrrp.DropKey, vrid: 58},
		{name: "signature", packet: as(forged), reason: vrrp.DropSignature, vrid: 58},
		{name: "replay", packet: from(hostileActive, recorded), reason: vrrp.DropReplay, vrid: 58},
	}
	for i := range list {
		list[i].seen = [2]bool{list[i].name != "replay", list[i].name != "destination"}
	}
	return list
}

// hostilePair is two directors and what they know before the attack.
type hostilePair struct {
	t         *testing.T
	lab       *lab.Lab
	directors []*lab.Director // the active one first
	before    []control.Status
	logged    []int // bytes of log
}

// newHostilePair starts both directors.
func newHostilePair(t *testing.T) *hostilePair {
	t.Helper()
	p := &hostilePair{t: t, lab: lab.NewT(t)}
	keys := filepath.Join(t.TempDir(), "keys")
	must(t, os.WriteFile(keys, []byte("1 "+strings.Repeat("5a", 32)+"\n"), 0o600))
	for _, host := range []*lab.Host{p.lab.LB, p.lab.LB2} {
		d := newDirector(t, host, fmt.Sprintf(hostileConfig, keys))
		must(t, d.Start(bounded(t)))
		p.directors = append(p.directors, d)
	}
	for _, group := range []string{"open", "signed"} {
		_, err := p.directors[0].AwaitState(bounded(t), group, lab.StateActive)
		must(t, err)
		_, err = p.directors[1].AwaitState(bounded(t), group, lab.StateBackup)
		must(t, err)
	}
	return p
}

// status asks a director for everything.
func (p *hostilePair) status(d *lab.Director) control.Status {
	p.t.Helper()
	text, err := d.Control(bounded(p.t), "status", "--json")
	must(p.t, err)
	var s control.Status
	must(p.t, json.Unmarshal([]byte(text), &s))
	return s
}

// remember takes down how things are before the attack.
func (p *hostilePair) remember() {
	p.t.Helper()
	for _, d := range p.directors {
		p.before = append(p.before, p.status(d))
		p.logged = append(p.logged, len(d.Log()))
	}
}

// dropped returns a counter of a router, or of no router.
func dropped(s control.Status, vrid int, reason vrrp.DropReason) uint64 {
	if vrid == 0 {
		return s.Dropped[reason.String()]
	}
	for _, g := range s.Groups {
		for _, r := range g.Routers {
			if r.VRID == vrid {
				return r.Counters.Dropped[reason.String()]
			}
		}
	}
	return 0
}

// TestHostileSegment floods the segment of two directors with 100,000 packets
// that should not be there. The active one goes on to advertise in time (in
// keepalived any packet for the VRID puts its next advertisement off), neither changes its state, every packet is counted under
// its reason, and the logs do not grow with the flood.
func TestHostileSegment(t *testing.T) {
	p := newHostilePair(t) // not beside others: a starved process misses what it should not
	tap, err := lab.OpenTap(p.lab.Client, lab.FirstCard)
	must(t, err)
	t.Cleanup(func() { _ = tap.Close() })
	recorded := p.record(tap, 58)
	kinds := forgeries(recorded)
	p.remember()

	var packets []lab.Packet
	for _, k := range kinds {
		packets = append(packets, k.packet)
	}
	watch := p.listen(tap)
	sent, err := tap.Flood(packets, hostileFlood, 20_000)
	must(t, err)
	time.Sleep(2 * hostileInterval)
	advertised := watch()

	p.inTime(advertised)
	p.unmoved()
	p.counted(kinds, sent)
	p.quiet()
}

// TestHostileLower floods the segment with valid advertisements of a lower
// priority, which the active director answers: it does not let itself be made
// to flood the segment in its turn, and its announcements are bounded too.
func TestHostileLower(t *testing.T) {
	p := newHostilePair(t) // not beside others: a starved process misses what it should not
	tap, err := lab.OpenTap(p.lab.Client, lab.FirstCard)
	must(t, err)
	t.Cleanup(func() { _ = tap.Close() })
	p.remember()
	lower := lab.Packet{
		Source: hostileForeign, Destination: hostileGroup, TTL: 255,
		Payload: hostileAdvertisement(56, func(a *vrrp.Advertisement) { a.Priority = 1 }),
	}
	watch := p.listen(tap)
	start := time.Now()
	_, err = tap.Flood([]lab.Packet{lower}, hostileFlood, 20_000)
	must(t, err)
	intervals := int(time.Since(start)/hostileInterval) + 2
	advertised := watch()
	// 20 answers in an interval, and the advertisement that is due.
	if got, most := len(advertised[56]), 21*intervals; got > most {
		t.Errorf("%d advertisements in %d intervals, want at most %d", got, intervals, most)
	}
	p.inTime(advertised)
	p.unmoved()
	p.quiet()
}

// record waits for a signed advertisement of the active director.
func (p *hostilePair) record(tap *lab.Tap, vrid byte) []byte {
	p.t.Helper()
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		heard, err := tap.Receive(time.Second)
		must(p.t, err)
		for _, packet := range heard {
			if packet.Source == hostileActive && packet.Payload[1] == vrid {
				return bytes.Clone(packet.Payload)
			}
		}
	}
	p.t.Fatalf("no advertisement of %v for VRID %d", hostileActive, vrid)
	return nil
}

// listen collects when the active director's own card says something, by
// VRID, until the returned function is called.
func (p *hostilePair) listen(tap *lab.Tap) func() map[int][]time.Time {
	done := make(chan struct{})
	result := make(chan map[int][]time.Time)
	go func() {
		heard := make(map[int][]time.Time)
		for {
			packets, err := tap.Receive(100 * time.Millisecond)
			if err != nil {
				p.t.Errorf("listen: %v", err)
			}
			for _, packet := range packets {
				vrid := int(packet.Payload[1])
				heard[vrid] = append(heard[vrid], packet.At)
			}
			select {
			case <-done:
				result <- heard
				return
			default:
			}
		}
	}()
	return func() map[int][]time.Time {
		close(done)
		return <-result
	}
}

// inTime fails the test if an advertisement is missing: where one is, its
// neighbours are two intervals apart.
func (p *hostilePair) inTime(advertised map[int][]time.Time) {
	p.t.Helper()
	for _, vrid := range []int{56, 58} {
		times := advertised[vrid]
		if len(times) < 4 {
			p.t.Errorf("vrid %d: %d advertisements during the flood", vrid, len(times))
			continue
		}
		longest := time.Duration(0)
		for i := range times[1:] {
			longest = max(longest, times[i+1].Sub(times[i]))
		}
		p.t.Logf("FIGURE vrid %d under a flood: %d advertisements, longest gap %v at an interval of %v",
			vrid, len(times), longest.Round(time.Millisecond), hostileInterval)
		if longest >= 2*hostileInterval-hostileInterval/10 {
			p.t.Errorf("vrid %d: a gap of %v between advertisements, the interval is %v", vrid, longest, hostileInterval)
		}
	}
}

// unmoved fails the test if a group has changed its state since remember.
func (p *hostilePair) unmoved() {
	p.t.Helper()
	for i, d := range p.directors {
		for j, g := range p.status(d).Groups {
			if was := p.before[i].Groups[j]; was.State != g.State || !was.Since.Equal(g.Since) {
				p.t.Errorf("%s: group %s was %s since %v, and is %s since %v (%s)",
					d.Host().Name, g.Name, was.State, was.Since, g.State, g.Since, g.Reason)
			}
		}
	}
}

// counted compares the counters with what was sent. The kernel may have lost
// some to a full buffer, which no director can count, and what is being read
// when a timer fires is looked at twice.
func (p *hostilePair) counted(kinds []forgery, sent []int) {
	p.t.Helper()
	for i, d := range p.directors {
		after := p.status(d)
		for j, k := range kinds {
			want := 0
			if k.seen[i] {
				want = sent[j]
			}
			got := int(dropped(after, k.vrid, k.reason) - dropped(p.before[i], k.vrid, k.reason))
			if got > want+want/10 || want > 0 && got == 0 {
				p.t.Errorf("%s: %d packets counted as %v (%s), %d were sent to it", d.Host().Name, got, k.reason, k.name, want)
			}
		}
	}
}

// quiet fails the test if a log has grown with the number of packets: one line
// for each kind of notice in ten seconds and router.
func (p *hostilePair) quiet() {
	p.t.Helper()
	const most = 60
	for i, d := range p.directors {
		lines := strings.Split(strings.TrimSpace(d.Log()[p.logged[i]:]), "\n")
		if len(lines) > most {
			p.t.Errorf("%s: %d lines of log, want at most %d; the first:\n%s",
				d.Host().Name, len(lines), most, strings.Join(slices.Clip(lines[:20]), "\n"))
		}
	}
}
