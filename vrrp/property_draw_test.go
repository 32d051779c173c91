package vrrp

import (
	"bytes"
	"fmt"
	"net/netip"
	"time"

	"pgregory.net/rapid"
)

// routers returns all that a configuration may consist of.
func routers() []RouterConfig {
	make := func(name, iface string, family Family, vrid uint8, prefixes ...string) RouterConfig {
		return addressed(RouterConfig{RouterKey: RouterKey{iface, family, vrid}, Name: name}, prefixes...)
	}
	return []RouterConfig{
		make("a1", "a", IPv4, 1, "192.0.2.1/24"),
		make("a2", "a", IPv4, 2, "192.0.2.2/24", "192.0.2.3/32"),
		make("a6", "a", IPv6, 1, "fe80::1/64", "2001:db8::1/64"),
		make("b1", "b", IPv4, 1, "198.51.100.1/24"),
		make("b6", "b", IPv6, 3, "fe80::3/64"),
		make("c7", "c", IPv4, 7),
	}
}

// sourceOf returns the n-th host's address of a family; 2 is our own.
func sourceOf(f Family, n int) netip.Addr {
	if f == IPv6 {
		return netip.MustParseAddr(fmt.Sprintf("fe80::ff:%d", n))
	}
	return netip.MustParseAddr(fmt.Sprintf("203.0.113.%d", n))
}

// drawGroups returns a valid configuration: each router in one of three groups
// or in none, each in one of its ways to speak.
func (p *prober) drawGroups() []GroupConfig {
	var groups []GroupConfig
	p.configs = [2]map[RouterKey]RouterConfig{p.configs[1], {}}
	owners := rapid.SliceOfN(rapid.IntRange(-1, 2), 6, 6).Draw(p.t, "groups of the routers")
	for i := range 3 {
		g := GroupConfig{
			Name:                  fmt.Sprintf("g%d", i),
			Priority:              rapid.SampledFrom([]uint8{1, 100, 200, 254, Owner}).Draw(p.t, "priority"),
			AdvertisementInterval: rapid.SampledFrom([]time.Duration{MinInterval, time.Second, 2 * time.Second}).Draw(p.t, "interval"),
			Preempt: Preempt{
				Enabled: rapid.Bool().Draw(p.t, "preempt"),
				Delay:   rapid.SampledFrom([]time.Duration{0, 5 * time.Second}).Draw(p.t, "delay"),
			},
			StartDelay: rapid.SampledFrom([]time.Duration{0, 0, 3 * time.Second}).Draw(p.t, "start delay"),
		}
		for j, rc := range routers() {
			if owners[j] == i {
				rc = p.drawWay(rc, g.AdvertisementInterval)
				p.configs[1][rc.RouterKey] = rc
				g.Routers = append(g.Routers, rc)
			}
		}
		if len(g.Routers) > 0 {
			groups = append(groups, g)
		}
	}
	return groups
}

// drawWay gives a router a way to speak that is valid for it: a version, a
// checksum form, multicast or unicast, a password or keys.
func (p *prober) drawWay(rc RouterConfig, interval time.Duration) RouterConfig {
	draw := func(label string, probability int) bool {
		return rapid.IntRange(1, probability).Draw(p.t, label) == 1
	}
	if draw("message checksum", 3) {
		rc.Checksum = ChecksumMessage
	}
	if draw("unicast", 3) {
		rc.Unicast = &Unicast{Source: sourceOf(rc.Family, 2), Peers: []Peer{
			{Address: sourceOf(rc.Family, 3), Routed: draw("routed", 2)}, {Address: sourceOf(rc.Family, 1)},
		}}
	}
	switch {
	case rc.Family == IPv4 && interval >= time.Second && draw("version 2", 3):
		rc.Version = Version2
		rc.Password = rapid.SampledFrom([]string{"", "s3cret", "12345678"}).Draw(p.t, "password")
	case draw("keys", 2):
		rc.Auth = &Auth{
			Keys: testKeys(), Active: uint8(rapid.IntRange(1, 2).Draw(p.t, "active key")),
			Mode:   AuthMode(rapid.IntRange(0, 2).Draw(p.t, "mode")),
			Window: rapid.SampledFrom([]time.Duration{5 * time.Second, 5 * time.Second, 0}).Draw(p.t, "window"),
		}
	}
	return rc
}

// drawRouter returns a router as it is configured, or one that is not.
func (p *prober) drawRouter(t *rapid.T) RouterConfig {
	rc := rapid.SampledFrom(routers()).Draw(t, "router")
	if configured, ok := p.configs[1][rc.RouterKey]; ok {
		return configured
	}
	return rc
}

// drawEncoding returns how somebody speaks to a router: as it wants to be
// spoken to, or not.
func (p *prober) drawEncoding(t *rapid.T, rc RouterConfig) Encoding {
	enc := Encoding{
		Version: rc.Version, Password: rc.Password,
		Checksum: rapid.SampledFrom([]ChecksumForm{ChecksumPseudoHeader, ChecksumMessage}).Draw(t, "form"),
	}
	switch rapid.IntRange(0, 9).Draw(t, "encoding") {
	case 0:
		enc.Version = Version3
	case 1:
		enc.Password = "another"
		if rc.Family == IPv4 {
			enc.Version = Version2
		}
	case 2:
		return enc // unsigned
	}
	if rc.Auth != nil {
		key := rapid.SampledFrom(append(testKeys(), Key{ID: 3, Secret: []byte("stranger")}, Key{ID: 1, Secret: []byte("wrong")})).Draw(t, "key")
		off := rapid.SampledFrom([]time.Duration{0, 0, 0, -time.Millisecond, 4 * time.Second, -time.Hour, time.Hour}).Draw(t, "signed")
		enc.Key, enc.Stamp = &key, stampAt(p.now.Add(p.host.clock+off))
	}
	return enc
}

// receive gives the host an advertisement, now and then a broken one. One that
// is signed and was heard is not heard again.
func (p *prober) receive(t *rapid.T) {
	rc := p.drawRouter(t)
	adv := Advertisement{
		VRID:     rc.VRID,
		Priority: rapid.SampledFrom([]uint8{0, 1, 99, 100, 101, 254, 255}).Draw(t, "advertised priority"),
		Interval: rapid.SampledFrom([]time.Duration{MinInterval, time.Second, 2 * time.Second, MaxInterval}).Draw(t, "advertised interval"),
	}
	ev := Received{
		Interface: rc.Interface, Source: sourceOf(rc.Family, rapid.IntRange(1, 4).Draw(t, "source")),
		Destination: rc.Family.MulticastAddress(), TTL: rapid.SampledFrom([]uint8{255, 255, 255, 254}).Draw(t, "ttl"),
	}
	if rc.Unicast != nil && rapid.IntRange(0, 9).Draw(t, "multicast") > 0 {
		ev.Destination = rc.Unicast.Source
	}
	ev.Payload = adv.Append(nil, ev.Source, ev.Destination, p.drawEncoding(t, rc))
	if rapid.IntRange(0, 9).Draw(t, "broken") == 0 {
		ev.Payload = rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "payload")
	}
	payload := bytes.Clone(ev.Payload)
	_, before, _ := p.before.router(rc.RouterKey)
	p.handle(ev)
	_, after, configured := p.before.router(rc.RouterKey)
	if !bytes.Equal(payload, ev.Payload) {
		t.Fatalf("the payload was changed: %x, was %x", ev.Payload, payload)
	}
	if m, drop := Parse(payload, ev.Source, ev.Destination); !configured || drop != NotDropped || m.Trailer == nil {
		return
	}
	if after.Counters.Received > before.Counters.Received {
		p.handle(ev)
		if _, again, _ := p.before.router(rc.RouterKey); again.Counters.Received > after.Counters.Received {
			t.Fatalf("a signed advertisement was heard twice: %x", payload)
		}
	}
}

// link changes an interface, more often to the good. Other addresses come
// before ours, and ours may be gone.
func (p *prober) link(t *rapid.T) {
	family := rapid.SampledFrom([]Family{IPv4, IPv6}).Draw(t, "family")
	ev := LinkState{
		Interface: rapid.SampledFrom([]string{"a", "b", "c", "unused"}).Draw(t, "interface"), Family: family,
		Fault: rapid.SampledFrom([]Fault{NoFault, NoFault, NoFault, NoFault, FaultMissing, FaultDown, FaultSocket}).Draw(t, "fault"),
	}
	if ev.Fault == NoFault {
		for _, n := range rapid.SampledFrom([][]int{{2}, {2}, {2, 5}, {5, 2}, {5}, {}}).Draw(t, "sources") {
			ev.Sources = append(ev.Sources, sourceOf(family, n))
		}
		if family == IPv6 && rapid.IntRange(0, 3).Draw(t, "global first") == 0 {
			ev.Sources = append([]netip.Addr{netip.MustParseAddr("2001:db8::2")}, ev.Sources...)
		}
	}
	p.links[linkKey{ev.Interface, family}] = ev
	p.handle(ev)
}

// expire waits for the deadline, and now and then a little too long.
func (p *prober) expire(t *rapid.T) {
	d := p.host.Deadline()
	if d.IsZero() {
		t.Skip("no deadline")
	}
	late := rapid.SampledFrom([]time.Duration{0, 0, time.Millisecond, MinInterval, time.Second, time.Minute}).Draw(t, "late")
	if d = d.Add(late); d.After(p.now) {
		p.now = d
	}
	p.handle(Expiry{})
	if d := p.host.Deadline(); !d.IsZero() && !d.After(p.now) {
		t.Fatalf("after Expiry at %v the deadline is %v", p.now, d)
	}
}

// expireEarly fires the timer before its time: nothing must follow.
func (p *prober) expireEarly(t *rapid.T) {
	if d := p.host.Deadline(); !d.IsZero() && !p.now.Before(d) {
		t.Skip("not early")
	}
	if actions := p.handle(Expiry{}); len(actions) > 0 {
		t.Fatalf("an early Expiry: %v", describeAll(actions))
	}
}

// wait lets time pass.
func (p *prober) wait(t *rapid.T) {
	p.now = p.now.Add(time.Duration(rapid.IntRange(0, 5000).Draw(t, "ms")) * time.Millisecond)
}

// clock sets the wall clock, and rarely: all that is signed depends on it.
func (p *prober) clock(t *rapid.T) {
	p.host.clock = rapid.SampledFrom([]time.Duration{0, 0, 0, time.Second, -time.Second, time.Hour, -time.Hour}).Draw(t, "ahead")
}

// shutdown ends the host, in few of the runs.
func (p *prober) shutdown(t *rapid.T) {
	if rapid.IntRange(0, 19).Draw(t, "really") > 0 {
		t.Skip("not yet")
	}
	p.stopped = true
	p.handle(Shutdown{})
}
