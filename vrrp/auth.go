package vrrp

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"time"
)

// The HMAC trailer, which keepalived 2.4 introduced (draft-cassen-vrrp-auth-hmac):
// type, key identifier, two reserved bytes, a stamp, and half of an HMAC-SHA256.
const (
	trailerType = 1
	tagLen      = 16
	stampOffset = 4
	tagOffset   = 12
	trailerLen  = tagOffset + tagLen
)

// signersMax bounds how many sources are remembered against replay. Only who
// has a key gets in here.
const signersMax = 16

// AuthMode says what is signed and what is demanded, so that a set of
// directors can change over one after the other.
type AuthMode uint8

// The modes, in the order of a change-over.
const (
	AuthReceiveOnly AuthMode = iota // nothing is signed, signatures are understood
	AuthPermissive                  // signed, and unsigned ones are accepted
	AuthEnforce                     // signed, and unsigned ones are dropped
)

// String returns the word that the configuration uses.
func (m AuthMode) String() string {
	switch m {
	case AuthReceiveOnly:
		return "receive-only"
	case AuthPermissive:
		return "permissive"
	case AuthEnforce:
		return "enforce"
	}
	return "invalid mode"
}

// Key is a secret that directors share.
type Key struct {
	ID     uint8
	Secret []byte
}

// Auth is the signing of advertisements with HMAC-SHA256. A wrong signature
// is dropped in every mode.
type Auth struct {
	Keys   []Key // all that are accepted, of different ID
	Active uint8 // the ID of the one that signs
	Mode   AuthMode
	// Window is how far the clocks of the directors, and the time that a
	// packet is on its way, may differ. 0: clocks are not compared, and a
	// recording is refused only by who has heard the original or later ones.
	Window time.Duration
}

// key returns the key of an ID, nil if there is none.
func (a *Auth) key(id uint8) *Key {
	for i := range a.Keys {
		if a.Keys[i].ID == id {
			return &a.Keys[i]
		}
	}
	return nil
}

// signer returns the key that signs, nil if nothing is signed.
func (a *Auth) signer() *Key {
	if a == nil || a.Mode == AuthReceiveOnly {
		return nil
	}
	return a.key(a.Active)
}

// Stamp orders the signed messages of one director: 32 bits of seconds since
// 1970, 16 of their fraction, and 16 of a counter.
type Stamp uint64

// stampAt returns the stamp of a moment.
func stampAt(t time.Time) Stamp {
	return Stamp(uint64(uint32(t.Unix()))<<32 | uint64(t.Nanosecond())<<16/1e9<<16)
}

// stampOf reads the stamp of a trailer.
func stampOf(trailer []byte) Stamp { return Stamp(binary.BigEndian.Uint64(trailer[stampOffset:])) }

// after returns the stamp of a moment, or the next one if that is not later
// than the last: a message must never look older than the one before.
func (s Stamp) after(t time.Time) Stamp { return max(stampAt(t), s+1) }

// next returns the stamp of a message that is sent after the one with the last
// stamp. A clock that was more than the window ahead has had everything refused
// that it stamped: once it is put right, its stamps go back with it, or they
// would be refused for as long again.
func (a *Auth) next(last Stamp, wall time.Time) Stamp {
	if a.Window > 0 && last.offset(wall) > a.Window {
		return stampAt(wall)
	}
	return last.after(wall)
}

// offset returns by how much the stamp is ahead of a moment.
func (s Stamp) offset(t time.Time) time.Duration {
	seconds := int32(uint32(s>>32) - uint32(t.Unix())) // wraps with the field
	fraction := time.Duration(s>>16&0xffff) * time.Second >> 16
	return time.Duration(seconds)*time.Second + fraction - time.Duration(t.Nanosecond())
}

// appendTrailer appends the trailer to the message that begins at start.
func (k *Key) appendTrailer(b []byte, start int, source netip.Addr, stamp Stamp) []byte {
	b = append(b, trailerType, k.ID, 0, 0)
	b = binary.BigEndian.AppendUint64(b, uint64(stamp))
	tag := k.tag(b[start:], source)
	return append(b, tag[:]...)
}

// tag is the signature of a message and the head of its trailer: over a
// pseudo-header, the message with a checksum of zero, and zeros in place of
// the tag.
func (k *Key) tag(signed []byte, source netip.Addr) (tag [tagLen]byte) {
	var pseudo [20]byte
	pseudo[0], pseudo[1], pseudo[2] = byte(FamilyOf(source)), version3, signed[1]
	copy(pseudo[4:], source.AsSlice())
	var zero [tagLen]byte
	h := hmac.New(sha256.New, k.Secret)
	h.Write(pseudo[:])
	h.Write(signed[:checksumOffset])
	h.Write(zero[:2])
	h.Write(signed[headerLen:])
	h.Write(zero[:])
	copy(tag[:], h.Sum(nil))
	return tag
}

// authenticate verifies the trailer of a message if there must or may be one.
func (r *router) authenticate(wall time.Time, p packet) DropReason {
	a := r.cfg.Auth
	switch {
	case p.Trailer == nil && (a == nil || a.Mode != AuthEnforce):
		return NotDropped
	case p.Trailer == nil:
		return DropUnsigned
	case a == nil:
		return DropLength // as by everybody who does not know the trailer
	}
	key := a.key(p.Trailer[1])
	if key == nil {
		return DropKey
	}
	tag := key.tag(p.Payload[:len(p.Payload)-tagLen], p.Source)
	if !hmac.Equal(tag[:], p.Trailer[tagOffset:]) {
		return DropSignature
	}
	stamp := stampOf(p.Trailer)
	if a.Window > 0 && stamp.offset(wall).Abs() > a.Window {
		return DropClock
	}
	return r.unheard(wall, p.Source, stamp)
}

// unheard remembers the stamp of a source if it is later than the last one.
func (r *router) unheard(wall time.Time, source netip.Addr, stamp Stamp) DropReason {
	last, known := r.signers[source]
	window := r.cfg.Auth.Window
	if known && stamp == last {
		return DropDuplicate // it says what has been heard, whoever sent it again
	}
	// A last stamp beyond the window is from before our clock was put back:
	// what is as late as that is refused without it.
	if known && stamp < last && (window == 0 || last.offset(wall) <= window) {
		return DropReplay
	}
	if !known && len(r.signers) >= signersMax {
		r.forgetSigner()
	}
	r.signers[source] = stamp
	return NotDropped
}

// forgetSigner forgets the source that has been silent for the longest time.
func (r *router) forgetSigner() {
	var oldest netip.Addr
	for source, stamp := range r.signers {
		if !oldest.IsValid() || stamp < r.signers[oldest] {
			oldest = source
		}
	}
	delete(r.signers, oldest)
}
