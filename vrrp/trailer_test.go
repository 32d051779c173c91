package vrrp

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// vector is a signed advertisement of draft-cassen-vrrp-auth-hmac.
type vector struct {
	source, destination, address string
	checksum                     ChecksumForm
	message, trailer             string // in hexadecimal
}

// vectors returns those of the draft: VRID 51, priority 200, one second, key 1
// with the octets 00 to 1f. They leave the destination of IPv4 open, whose
// checksum is over the message alone.
func vectors() map[string]vector {
	return map[string]vector{
		"IPv4": {
			"198.51.100.10", "224.0.0.18", "192.0.2.100", ChecksumMessage,
			"3133c80100644402c0000264",
			"010100006800000080000000" + "1b84bc4e8e43892dc6d98448f8ee2265",
		},
		"IPv6": {
			"fe80::10", "fe80::20", "fe80::100", ChecksumPseudoHeader,
			"3133c8010064a2e9fe800000000000000000000000000100",
			"010100006800000080000000" + "c8c56146ebfd66ee10ec4d8186461b78",
		},
	}
}

// vectorKey is the key of the vectors.
func vectorKey() Key {
	k := Key{ID: 1}
	for i := range 32 {
		k.Secret = append(k.Secret, byte(i))
	}
	return k
}

// vectorStamp is the time of the vectors, half a second after a full one.
const vectorStamp = Stamp(0x68000000_8000_0000)

// packet returns a vector as received, and who hears it.
func (v vector) packet(tb testing.TB) (Received, RouterConfig) {
	tb.Helper()
	payload, err := hex.DecodeString(v.message + v.trailer)
	if err != nil {
		tb.Fatal(err)
	}
	source, destination := netip.MustParseAddr(v.source), netip.MustParseAddr(v.destination)
	family := FamilyOf(source)
	rc := RouterConfig{
		RouterKey: RouterKey{Interface: "pub", Family: family, VRID: 51}, Name: "vector", Checksum: v.checksum,
		Addresses: []netip.Prefix{netip.PrefixFrom(netip.MustParseAddr(v.address), source.BitLen())},
		Auth:      &Auth{Keys: []Key{vectorKey()}, Active: 1, Mode: AuthEnforce},
	}
	if destination != family.MulticastAddress() {
		rc.Unicast = &Unicast{Source: destination, Peers: []Peer{{Address: source}}}
	}
	return Received{Interface: "pub", Source: source, Destination: destination, TTL: requiredTTL, Payload: payload}, rc
}

// hears starts a router and gives it a packet. It returns why it was dropped.
func hears(tb testing.TB, rc RouterConfig, p Received) DropReason {
	tb.Helper()
	h := NewHost(epoch, []GroupConfig{groupOf(100, rc)})
	own := netip.MustParseAddr("192.0.2.20")
	switch {
	case rc.Unicast != nil:
		own = rc.Unicast.Source
	case rc.Family == IPv6:
		own = netip.MustParseAddr("fe80::20")
	}
	h.Handle(epoch, LinkState{Interface: rc.Interface, Family: rc.Family, Sources: []netip.Addr{own}})
	h.Handle(epoch, p)
	s := h.Status()
	if s.Groups[0].Routers[0].Counters.Received == 1 {
		return NotDropped
	}
	for reason, count := range s.Groups[0].Routers[0].Counters.Dropped {
		if count+s.Dropped[reason] > 0 {
			return DropReason(reason)
		}
	}
	tb.Fatal("neither received nor dropped")
	return 0
}

// TestTrailerVectors writes the vectors of the draft byte for byte, and a
// router that enforces signatures hears them.
func TestTrailerVectors(t *testing.T) {
	for name, v := range vectors() {
		t.Run(name, func(t *testing.T) {
			p, rc := v.packet(t)
			m, drop := Parse(p.Payload, p.Source, p.Destination)
			if drop != NotDropped || m.Checksum != v.checksum || stampOf(m.Trailer) != vectorStamp {
				t.Fatalf("dropped %v, checksum form %v, trailer %x", drop, m.Checksum, m.Trailer)
			}
			want := Advertisement{VRID: 51, Priority: 200, Interval: second, Addresses: []netip.Addr{netip.MustParseAddr(v.address)}}
			if diff := cmp.Diff(want, m.Advertisement, addrs); diff != "" {
				t.Errorf("advertisement (-want +got):\n%s", diff)
			}
			key := vectorKey()
			again := want.Append(nil, p.Source, p.Destination, Encoding{Checksum: v.checksum, Key: &key, Stamp: vectorStamp})
			if got := hex.EncodeToString(again); got != v.message+v.trailer {
				t.Errorf("written again:\n%s, want\n%s", got, v.message+v.trailer)
			}
			if drop := hears(t, rc, p); drop != NotDropped {
				t.Errorf("dropped by a router with the key: %v", drop)
			}
		})
	}
}

// TestTrailerChecksum: that of IPv4 covers the message alone, so that the
// trailer is no matter to it; the kernel's, of IPv6, covers both.
func TestTrailerChecksum(t *testing.T) {
	for name, covers := range map[string]bool{"IPv4": false, "IPv6": true} {
		p, _ := vectors()[name].packet(t)
		p.Payload[len(p.Payload)-1] ^= 1
		if _, drop := Parse(p.Payload, p.Source, p.Destination); (drop == DropChecksum) != covers {
			t.Errorf("%s: a changed signature: %v; covered by the checksum: %v", name, drop, covers)
		}
	}
}

// TestTrailerEveryBit: whatever bit of a signed packet changes on its way, it
// is refused, also where the checksum was corrected for it.
func TestTrailerEveryBit(t *testing.T) {
	for name, v := range vectors() {
		t.Run(name, func(t *testing.T) {
			good, rc := v.packet(t)
			for bit := range len(good.Payload) * 8 {
				p := good
				p.Payload = bytes.Clone(good.Payload)
				p.Payload[bit/8] ^= 0x80 >> (bit % 8)
				if drop := hears(t, rc, p); drop == NotDropped {
					t.Errorf("bit %d of octet %d changed: accepted", bit%8, bit/8)
				}
				if bit/8 == checksumOffset || bit/8 == checksumOffset+1 {
					continue // would be corrected to what it was
				}
				p.Payload = corrected(p, v.checksum)
				if drop := hears(t, rc, p); drop == NotDropped {
					t.Errorf("bit %d of octet %d changed, checksum corrected: accepted", bit%8, bit/8)
				}
			}
		})
	}
}

// corrected returns the payload of a signed packet with a checksum that is
// right for it.
func corrected(p Received, form ChecksumForm) []byte {
	b := bytes.Clone(p.Payload)
	covered := b
	if p.Source.Is4() {
		covered = b[:len(b)-trailerLen]
	}
	copy(b[checksumOffset:], []byte{0, 0})
	binary.BigEndian.PutUint16(b[checksumOffset:], checksum(covered, p.Source, p.Destination, form))
	return b
}

// TestTrailerSource: a signature is for the address that it was sent from, of
// its family, and does not help another one.
func TestTrailerSource(t *testing.T) {
	for name, source := range map[string]string{"IPv4": "198.51.100.11", "IPv6": "fe80::11"} {
		v := vectors()[name]
		p, rc := v.packet(t)
		p.Source = netip.MustParseAddr(source)
		if rc.Unicast != nil {
			rc.Unicast.Peers[0].Address = p.Source
		}
		p.Payload = corrected(p, v.checksum)
		if drop := hears(t, rc, p); drop != DropSignature {
			t.Errorf("%s: from %s: %v, want %v", name, source, drop, DropSignature)
		}
	}
}

// TestTrailerLength: a trailer is whole and of a known type, or the message is
// as wrong as any other that is too long.
func TestTrailerLength(t *testing.T) {
	for name, v := range vectors() {
		p, rc := v.packet(t)
		start := len(p.Payload) - trailerLen
		tests := []struct {
			name    string
			payload []byte
			want    DropReason
		}{
			{"cut short", p.Payload[:len(p.Payload)-1], DropLength},
			{"cut to its head", p.Payload[:start+tagOffset], DropLength},
			{"cut off", p.Payload[:start], DropUnsigned},
			{"one octet more", append(slices.Clone(p.Payload), 0), DropLength},
			{"twice", append(slices.Clone(p.Payload), p.Payload[start:]...), DropLength},
			{"of another type", func() []byte { b := slices.Clone(p.Payload); b[start] = 2; return b }(), DropLength},
		}
		for _, tt := range tests {
			cut := p
			cut.Payload = tt.payload
			if tt.want == DropUnsigned {
				cut.Payload = resum(slices.Clone(tt.payload), p.Source, p.Destination)
			}
			if drop := hears(t, rc, cut); drop != tt.want {
				t.Errorf("%s, %s: %v, want %v", name, tt.name, drop, tt.want)
			}
		}
	}
}

// TestStamp: seconds, fraction and counter are where the draft has them, and a
// stamp is never the same or earlier than the one before it.
func TestStamp(t *testing.T) {
	at := time.Unix(0x68000000, 500_000_000)
	if got := stampAt(at); got != vectorStamp {
		t.Errorf("stamp %016x, want %016x", uint64(got), uint64(vectorStamp))
	}
	tests := []struct {
		name string
		last Stamp
		want Stamp
	}{
		{"first", 0, vectorStamp},
		{"later", vectorStamp - 1, vectorStamp},
		{"at the same time", vectorStamp, vectorStamp + 1},
		{"counter full", vectorStamp + 0xffff, vectorStamp + 0x1_0000},
		{"clock put back", vectorStamp + 7<<32, vectorStamp + 7<<32 + 1},
	}
	for _, tt := range tests {
		if got := tt.last.after(at); got != tt.want {
			t.Errorf("%s: %016x, want %016x", tt.name, uint64(got), uint64(tt.want))
		}
	}
}

// TestStampOffset: the distance of a stamp from a moment, to the 65536th of a
// second, and over the end of the 32 bits of seconds in 2106.
func TestStampOffset(t *testing.T) {
	end := time.Unix(1<<32, 0)
	for _, at := range []time.Time{epoch, epoch.Add(999_999_999), end, end.Add(-1), end.Add(-second)} {
		for _, ahead := range []time.Duration{0, 1, 20 * time.Microsecond, 5 * second, -5 * second, -1, 24 * time.Hour, -24 * time.Hour} {
			got := stampAt(at.Add(ahead)).offset(at)
			if off := ahead - got; off < 0 || off > second>>16+1 {
				t.Errorf("%v from %v: %v", ahead, at, got)
			}
		}
	}
}
