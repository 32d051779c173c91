package vrrp

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// epoch is when every test begins.
var epoch = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// The hosts of the tests: this director, and a peer on either side of it in
// the order of addresses.
const (
	ownSource     = "192.168.56.20"
	smallerSource = "192.168.56.10"
	greaterSource = "192.168.56.30"
)

// second is the advertisement interval of the fixtures.
const second = time.Second

// publicRouter returns a virtual router on the interface pub.
func publicRouter() RouterConfig {
	return RouterConfig{
		RouterKey: RouterKey{Interface: "pub", Family: IPv4, VRID: 56},
		Name:      "public",
		Addresses: []netip.Prefix{netip.MustParsePrefix("192.168.56.100/24")},
	}
}

// gatewayRouter returns a virtual router on the interface int.
func gatewayRouter() RouterConfig {
	return RouterConfig{
		RouterKey: RouterKey{Interface: "int", Family: IPv4, VRID: 200},
		Name:      "gateway",
		Addresses: []netip.Prefix{netip.MustParsePrefix("192.168.200.250/24")},
	}
}

// groupOf returns a preempting group named web of the given routers.
func groupOf(priority uint8, routers ...RouterConfig) GroupConfig {
	return GroupConfig{
		Name: "web", Priority: priority, AdvertisementInterval: second,
		Preempt: Preempt{Enabled: true}, Routers: routers,
	}
}

// bench is a Host with a clock that the test moves.
type bench struct {
	t    *testing.T
	host *Host
	now  time.Time
}

// newBench returns a bench whose interfaces are not yet known.
func newBench(t *testing.T, groups ...GroupConfig) *bench {
	t.Helper()
	return &bench{t: t, host: NewHost(epoch, groups), now: epoch}
}

// newBackup returns a bench whose groups have started below Owner.
func newBackup(t *testing.T, groups ...GroupConfig) *bench {
	t.Helper()
	b := newBench(t, groups...)
	b.up("pub", "int")
	b.inState(Backup)
	return b
}

// newActive returns a bench whose groups have all taken over.
func newActive(t *testing.T, groups ...GroupConfig) *bench {
	t.Helper()
	b := newBackup(t, groups...)
	for range groups {
		b.expire()
	}
	b.inState(Active)
	return b
}

// handle gives an event to the host now and returns the actions as text.
func (b *bench) handle(ev Event) []string {
	b.t.Helper()
	return describeAll(b.host.Handle(b.now, ev))
}

// wait lets time pass without telling the host.
func (b *bench) wait(d time.Duration) { b.now = b.now.Add(d) }

// expire moves the clock to the host's deadline and lets it expire.
func (b *bench) expire() []string {
	b.t.Helper()
	d := b.host.Deadline()
	if d.IsZero() {
		b.t.Fatal("nothing to expire")
	}
	b.now = d
	return b.handle(Expiry{})
}

// up reports interfaces as usable, with the source that the fixtures use.
func (b *bench) up(interfaces ...string) (actions []string) {
	b.t.Helper()
	for _, name := range interfaces {
		actions = append(actions, b.handle(linkUp(name))...)
	}
	return actions
}

// down reports an interface as down.
func (b *bench) down(name string) []string {
	b.t.Helper()
	return b.handle(LinkState{Interface: name, Family: IPv4, Fault: FaultDown})
}

// linkUp returns the LinkState of a usable interface of the fixtures.
func linkUp(name string) LinkState {
	return LinkState{Interface: name, Family: IPv4, Sources: []netip.Addr{onInterface(name, ownSource)}}
}

// onInterface moves an address of the network of pub to that of another
// interface, so that one name serves for a host on both.
func onInterface(name, source string) netip.Addr {
	a := netip.MustParseAddr(source)
	if name == "pub" || a.Is6() {
		return a
	}
	b := a.As4()
	b[2] = 200
	return netip.AddrFrom4(b)
}

// advert returns a correct, unsigned advertisement for a router as a received
// packet. Each change is made before the packet is encoded.
func advert(rc RouterConfig, source string, priority uint8, changes ...func(*Advertisement)) Received {
	return packetOf(rc, Encoding{Version: rc.Version, Checksum: rc.Checksum, Password: rc.Password}, source, priority, changes...)
}

// signed returns an advertisement that is signed with a key at a time.
func signed(rc RouterConfig, key Key, at time.Time, source string, priority uint8) Received {
	return packetOf(rc, Encoding{Checksum: rc.Checksum, Key: &key, Stamp: stampAt(at)}, source, priority)
}

// packetOf returns an advertisement in the given encoding as it comes to a
// router.
func packetOf(rc RouterConfig, enc Encoding, source string, priority uint8, changes ...func(*Advertisement)) Received {
	adv := Advertisement{VRID: rc.VRID, Priority: priority, Interval: second}
	for _, p := range rc.Addresses {
		adv.Addresses = append(adv.Addresses, p.Addr())
	}
	for _, change := range changes {
		change(&adv)
	}
	from, to := onInterface(rc.Interface, source), rc.Family.MulticastAddress()
	if rc.Unicast != nil {
		to = rc.Unicast.Source
	}
	return Received{
		Interface: rc.Interface, Source: from, Destination: to, TTL: requiredTTL,
		Payload: adv.Append(nil, from, to, enc),
	}
}

// old returns a router of version 2 with a password, or "" for none.
func old(rc RouterConfig, password string) RouterConfig {
	rc.Version, rc.Password = Version2, password
	return rc
}

// unicast returns a router that speaks with listed peers.
func unicast(rc RouterConfig, peers ...string) RouterConfig {
	rc.Unicast = &Unicast{Source: onInterface(rc.Interface, ownSource)}
	for _, p := range peers {
		rc.Unicast.Peers = append(rc.Unicast.Peers, Peer{Address: onInterface(rc.Interface, p)})
	}
	return rc
}

// testKeys are two keys that directors of the tests share.
func testKeys() []Key {
	return []Key{{ID: 1, Secret: []byte("0123456789abcdef0123456789abcdef")}, {ID: 2, Secret: []byte("another one")}}
}

// signing returns a router with both test keys, of which the first signs, and
// a window of five seconds.
func signing(rc RouterConfig, mode AuthMode) RouterConfig {
	rc.Auth = &Auth{Keys: testKeys(), Active: 1, Mode: mode, Window: 5 * second}
	return rc
}

// every returns a change of an advertisement's interval.
func every(d time.Duration) func(*Advertisement) {
	return func(a *Advertisement) { a.Interval = d }
}

// inState fails the test unless every group is in the given state.
func (b *bench) inState(want State) {
	b.t.Helper()
	for _, g := range b.host.Status().Groups {
		if g.State != want {
			b.t.Fatalf("group %s is %v, want %v (%s)", g.Name, g.State, want, g.Reason)
		}
	}
}

// firesIn fails the test unless the next deadline is d from now; 0 means none.
func (b *bench) firesIn(want time.Duration) {
	b.t.Helper()
	var got time.Duration
	if d := b.host.Deadline(); !d.IsZero() {
		got = d.Sub(b.now)
	}
	if got != want {
		b.t.Fatalf("next deadline in %v, want %v", got, want)
	}
}

// wants fails the test unless an interface shall have (or not have) exactly
// these addresses.
func (b *bench) wants(name, present, absent string) {
	b.t.Helper()
	w := b.host.Wanted()[name]
	if got := [2]string{joinPrefixes(w.Present), joinPrefixes(w.Absent)}; got != [2]string{present, absent} {
		b.t.Fatalf("wanted on %s: present %q, absent %q; want %q, %q", name, got[0], got[1], present, absent)
	}
}

// same fails the test unless the actions are the given ones.
func (b *bench) same(got []string, want ...string) {
	b.t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		b.t.Fatalf("actions (-want +got):\n%s", diff)
	}
}

// sent returns the text of an advertisement of the public router.
func sent(priority uint8) string {
	return fmt.Sprintf("send pub 192.168.56.20 -> 224.0.0.18 vrid 56 priority %d interval 1s 192.168.56.100", priority)
}

// sentGateway returns the text of an advertisement of the gateway router.
func sentGateway(priority uint8) string {
	return fmt.Sprintf("send int 192.168.200.20 -> 224.0.0.18 vrid 200 priority %d interval 1s 192.168.200.250", priority)
}

// The announcements of the fixtures.
const (
	announced        = "announce pub 192.168.56.100/24"
	announcedGateway = "announce int 192.168.200.250/24"
)

// describeAll returns actions as text, one string each.
func describeAll(actions []Action) []string {
	var words []string
	for _, a := range actions {
		words = append(words, describe(a))
	}
	return words
}

// describe returns an action as one line; the scenarios use the same words.
func describe(a Action) string {
	switch a := a.(type) {
	case Send:
		line := fmt.Sprintf("send %s %v -> %v %v", a.Interface, a.Source, a.Destination, a.Advertisement)
		if a.Encoding.Checksum != ChecksumPseudoHeader {
			line += " checksum " + a.Encoding.Checksum.String()
		}
		return line + describeProof(a.Encoding)
	case Announce:
		return fmt.Sprintf("announce %s %s", a.Interface, joinPrefixes(a.Addresses))
	case Transition:
		return fmt.Sprintf("%s %v -> %v (priority %d): %s", a.Group, a.From, a.To, a.Priority, a.Reason)
	case Notice:
		return fmt.Sprintf("notice %s/%s %v: %s", a.Group, a.Router, a.Kind, a.Detail)
	}
	return fmt.Sprintf("unknown action %#v", a)
}

// describeProof says of an advertisement what makes it older or more credible
// than the usual one.
func describeProof(e Encoding) (words string) {
	if e.Version == Version2 {
		words += " version 2"
	}
	if e.Password != "" {
		words += fmt.Sprintf(" password %q", e.Password)
	}
	if e.Key != nil {
		words += fmt.Sprintf(" key %d", e.Key.ID)
	}
	return words
}

// joinPrefixes lists prefixes in words.
func joinPrefixes(prefixes []netip.Prefix) string {
	var words []string
	for _, p := range prefixes {
		words = append(words, p.String())
	}
	return strings.Join(words, ",")
}

// without returns the lines that do not begin with the prefix.
func without(lines []string, prefix string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(s string) bool { return strings.HasPrefix(s, prefix) })
}
