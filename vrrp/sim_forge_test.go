package vrrp

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"
)

// letter is an advertisement to a director that has not been sent by another
// one, but looks like it.
type letter struct {
	to                  *node
	group               *group
	router              *router
	adv                 Advertisement
	enc                 Encoding
	source, destination netip.Addr
	ttl                 uint8
	payload             []byte // instead of what adv and enc make
}

// spoiler spoils one thing about a letter and says which. An empty string says
// that it does not fit the router.
type spoiler func(s *simulation, r *rand.Rand, l *letter) string

// spoilers are all.
var spoilers = []spoiler{
	(*simulation).forgeTTL, (*simulation).forgeBit, (*simulation).forgeVersion, (*simulation).forgeLength,
	(*simulation).forgeDestination, (*simulation).forgeOurs, (*simulation).forgePeer, (*simulation).forgePassword,
	(*simulation).forgeInterval, (*simulation).forgeUnsigned, (*simulation).forgeSecret, (*simulation).forgeKey,
	(*simulation).forgeTime, (*simulation).forgeRecording, (*simulation).forgeRecording, (*simulation).forgeRecording,
}

// forge gives a director a packet that is wrong in one way, and demands that
// it changes nothing.
func (s *simulation) forge(n *node) {
	if s.lan.err != nil || len(n.host.groups) == 0 {
		return
	}
	g := oneOf(s.network, n.host.groups...)
	l := s.letter(n, g, oneOf(s.network, g.routers...))
	what := oneOf(s.network, spoilers...)(s, s.network, l)
	if what == "" || !l.source.IsValid() || !l.destination.IsValid() {
		return
	}
	if l.payload == nil {
		l.payload = l.adv.Append(nil, l.source, l.destination, l.enc)
	}
	before := fingerprint(n.host)
	s.forging = true
	s.lan.handle(n, Received{
		Interface: l.router.cfg.Interface, Source: l.source, Destination: l.destination, TTL: l.ttl, Payload: l.payload,
	})
	s.forging = false
	s.tally.forged.Add(1)
	if after := fingerprint(n.host); !slices.Equal(before, after) {
		s.fail("%s: %s/%s was moved by a packet of which %s is wrong; from\n%v to\n%v",
			n.name, g.cfg.Name, l.router.cfg.Name, what, before, after)
	}
}

// letter returns one to a router that nothing is wrong with yet, in the name
// of another director.
func (s *simulation) letter(n *node, g *group, r *router) *letter {
	other := (n.index + 1 + s.network.IntN(len(s.lan.nodes)-1)) % len(s.lan.nodes)
	list := s.cluster.home(s.cluster.segment(r.cfg.Interface), other, r.cfg.Family)
	l := &letter{to: n, group: g, router: r, source: list[0], destination: r.to[0], ttl: requiredTTL}
	if r.cfg.Unicast != nil {
		l.source, l.destination = list[len(list)-1], r.source
	}
	l.adv = Advertisement{
		VRID: r.cfg.VRID, Priority: oneOf[uint8](s.network, 0, 1, g.cfg.Priority, 254, Owner),
		Interval: g.cfg.AdvertisementInterval, Addresses: r.addresses,
	}
	l.enc = Encoding{
		Version: r.cfg.Version, Checksum: r.cfg.Checksum, Password: r.cfg.Password,
		Key: r.cfg.Auth.signer(), Stamp: stampAt(g.wall(s.lan.now)),
	}
	return l
}

// forgeTTL: it came through a router.
func (s *simulation) forgeTTL(r *rand.Rand, l *letter) string {
	l.ttl = oneOf[uint8](r, 254, 1, 0)
	return "the TTL"
}

// forgeBit: it was damaged on the way.
func (s *simulation) forgeBit(r *rand.Rand, l *letter) string {
	l.payload = l.adv.Append(nil, l.source, l.destination, l.enc)
	bit := r.IntN(8 * len(l.payload))
	l.payload[bit/8] ^= 1 << (bit % 8)
	return "a bit"
}

// forgeVersion: it is of the other version.
func (s *simulation) forgeVersion(_ *rand.Rand, l *letter) string {
	if l.router.cfg.Family == IPv6 {
		return ""
	}
	l.enc.Version, l.enc.Key = Version3+Version2-l.enc.Version, nil
	return "the version"
}

// forgeLength: it is cut off, or has something behind it. What is left when
// just a signature is cut off is accepted by who does not demand one.
func (s *simulation) forgeLength(r *rand.Rand, l *letter) string {
	if a := l.router.cfg.Auth; a != nil && a.Mode != AuthEnforce {
		l.enc.Key = nil
	}
	l.payload = l.adv.Append(nil, l.source, l.destination, l.enc)
	if n := r.IntN(len(l.payload) + 4); n < len(l.payload) {
		l.payload = l.payload[:n]
	} else {
		l.payload = append(l.payload, make([]byte, n-len(l.payload)+1)...)
	}
	return "the length"
}

// forgeDestination: it is for others.
func (s *simulation) forgeDestination(_ *rand.Rand, l *letter) string {
	l.destination = netip.MustParseAddr("224.0.0.5")
	if l.router.cfg.Family == IPv6 {
		l.destination = netip.MustParseAddr("ff02::1")
	}
	return "the destination"
}

// forgeOurs: it comes from the director itself, through a loop.
func (s *simulation) forgeOurs(_ *rand.Rand, l *letter) string {
	l.source = l.router.source
	return "the source, which is the director's own,"
}

// forgePeer: in unicast mode, it comes from a stranger.
func (s *simulation) forgePeer(_ *rand.Rand, l *letter) string {
	if l.router.cfg.Unicast == nil {
		return ""
	}
	l.source = netip.MustParseAddr("10.9.9.9")
	if l.router.cfg.Family == IPv6 {
		l.source = netip.MustParseAddr("2001:db8::9:9")
	}
	return "the source, which is none of the peers',"
}

// forgePassword: of version 2.
func (s *simulation) forgePassword(_ *rand.Rand, l *letter) string {
	if l.router.cfg.Version != Version2 {
		return ""
	}
	l.enc.Password = "basculf"
	return "the password"
}

// forgeInterval: version 2 demands the same.
func (s *simulation) forgeInterval(_ *rand.Rand, l *letter) string {
	if l.router.cfg.Version != Version2 {
		return ""
	}
	l.adv.Interval += time.Second
	return "the interval"
}

// enforced reports whether a letter is to a router that demands signatures.
func (l *letter) enforced() bool {
	return l.router.cfg.Auth != nil && l.router.cfg.Auth.Mode == AuthEnforce
}

// forgeUnsigned: who sent it has no key.
func (s *simulation) forgeUnsigned(_ *rand.Rand, l *letter) string {
	if !l.enforced() {
		return ""
	}
	l.enc.Key = nil
	return "the signature, which is missing,"
}

// forgeSecret: who sent it guesses.
func (s *simulation) forgeSecret(_ *rand.Rand, l *letter) string {
	if !l.enforced() {
		return ""
	}
	l.enc.Key = &Key{ID: l.enc.Key.ID, Secret: []byte("another secret..")}
	return "the secret"
}

// forgeKey: who sent it has another key.
func (s *simulation) forgeKey(_ *rand.Rand, l *letter) string {
	if !l.enforced() {
		return ""
	}
	l.enc.Key = &Key{ID: 77, Secret: l.enc.Key.Secret}
	return "the key"
}

// forgeTime: it was signed too long ago, or will be.
func (s *simulation) forgeTime(r *rand.Rand, l *letter) string {
	if !l.enforced() || l.router.cfg.Auth.Window == 0 {
		return ""
	}
	off := l.router.cfg.Auth.Window + time.Millisecond + time.Duration(r.Int64N(int64(time.Hour)))
	l.enc.Stamp = stampAt(l.group.wall(s.lan.now).Add(off * oneOf[time.Duration](r, -1, 1)))
	return "the time"
}

// forgeRecording: it was sent before, and the director has heard later ones
// of the sender. Where a clock was put forward or back, that is not known.
func (s *simulation) forgeRecording(_ *rand.Rand, l *letter) string {
	if l.router.cfg.Auth == nil || s.stepped {
		return ""
	}
	old, ok := s.tape.packets[tapeKey{l.router.cfg.RouterKey, l.source}]
	last, known := s.ledgers[l.to.index].signed[l.router][l.source]
	if !ok || !known || old.stamp > last {
		return ""
	}
	l.destination, l.payload = old.destination, slices.Clone(old.payload)
	return "the moment, for it is a recording,"
}

// tape is a recording of signed advertisements.
type tape struct {
	running bool
	packets map[tapeKey]recording
}

// tapeKey is whose advertisements a part of the tape has.
type tapeKey struct {
	RouterKey
	source netip.Addr
}

// recording is a packet with the stamp of its signature.
type recording struct {
	destination netip.Addr
	payload     []byte
	stamp       Stamp
}

// record keeps the first signed advertisement of each sender, and now and
// then a later one instead.
func (s *simulation) record(key RouterKey, a Send) {
	if !s.tape.running || a.Encoding.Key == nil {
		return
	}
	k := tapeKey{key, a.Source}
	if _, known := s.tape.packets[k]; known && s.network.IntN(16) > 0 {
		return
	}
	s.tape.packets[k] = recording{a.Destination, a.Append(nil), a.Encoding.Stamp}
}
