package vrrp

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// forgery is an advertisement that none of the nodes made.
type forgery struct {
	Advertisement
	to      netip.Addr
	ttl     uint8
	version uint8
	enc     Encoding
}

// fields are what can be said of a forgery, by their names.
func fields() map[string]func(f *forgery, value string) error {
	number := func(field func(f *forgery) *uint8) func(*forgery, string) error {
		return func(f *forgery, value string) error {
			n, err := strconv.ParseUint(value, 10, 8)
			*field(f) = uint8(n)
			return err
		}
	}
	return map[string]func(f *forgery, value string) error{
		"vrid":     number(func(f *forgery) *uint8 { return &f.VRID }),
		"priority": number(func(f *forgery) *uint8 { return &f.Priority }),
		"ttl":      number(func(f *forgery) *uint8 { return &f.ttl }),
		"version":  number(func(f *forgery) *uint8 { return &f.version }),
		"interval": func(f *forgery, value string) (err error) { f.Interval, err = time.ParseDuration(value); return err },
		"to":       func(f *forgery, value string) (err error) { f.to, err = netip.ParseAddr(value); return err },
		"password": func(f *forgery, value string) error { f.enc.Password = value; return nil },
		"addresses": func(f *forgery, value string) (err error) {
			f.Addresses, err = readAddresses(value)
			return err
		},
		"key": func(f *forgery, value string) error {
			k, err := readKey(value)
			f.enc.Key = &k
			return err
		},
	}
}

// forge sends an advertisement of a stranger.
func (w *world) forge(args []string) error {
	source, err := netip.ParseAddr(args[1])
	if err != nil {
		return err
	}
	f := forgery{
		Advertisement: Advertisement{VRID: 56, Priority: 255, Interval: time.Second},
		to:            FamilyOf(source).MulticastAddress(), ttl: requiredTTL, version: version3,
		enc: Encoding{Stamp: stampAt(w.lan.now)},
	}
	for _, arg := range args[2:] {
		key, value, _ := strings.Cut(arg, "=")
		set, ok := fields()[key]
		if !ok {
			return fmt.Errorf("unknown field %q", arg)
		}
		if err := set(&f, value); err != nil {
			return fmt.Errorf("%q: %w", arg, err)
		}
	}
	payload, err := f.payload(source)
	if err != nil {
		return err
	}
	w.lan.deliver(nil, 0, Received{Interface: args[0], Source: source, Destination: f.to, TTL: f.ttl, Payload: payload})
	return nil
}

// payload encodes a forgery. A version that we do not know looks like the
// third but for its number.
func (f *forgery) payload(source netip.Addr) ([]byte, error) {
	for _, a := range append(f.Addresses, f.to) {
		if FamilyOf(a) != FamilyOf(source) {
			return nil, fmt.Errorf("%v and %v are of different families", a, source)
		}
	}
	if len(f.Addresses) > MaxAddresses {
		return nil, fmt.Errorf("%d addresses are more than %d", len(f.Addresses), MaxAddresses)
	}
	if f.version == version2 {
		f.enc.Version = Version2
	}
	b := f.Append(nil, source, f.to, f.enc)
	if f.version != version2 && f.version != version3 {
		b[0] = f.version<<4 | typeAdvertisement
		b = resum(b, source, f.to)
	}
	return b, nil
}

// record keeps the last advertisement of a segment.
func (w *world) record(args []string) error {
	p, ok := w.last[args[0]]
	if !ok {
		return fmt.Errorf("nothing was advertised on %q yet", args[0])
	}
	w.recorded[args[0]] = p
	return nil
}

// replay sends what was recorded on a segment again.
func (w *world) replay(args []string) error {
	p, ok := w.recorded[args[0]]
	if !ok {
		return fmt.Errorf("nothing was recorded on %q", args[0])
	}
	w.lan.deliver(nil, 0, p)
	return nil
}

// readAddresses reads addresses between commas.
func readAddresses(s string) (list []netip.Addr, err error) {
	for _, word := range strings.Split(s, ",") {
		a, err := netip.ParseAddr(word)
		if err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	return list, nil
}
