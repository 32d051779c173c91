package vrrp

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Protocol is the IP protocol number of VRRP (RFC 9568 section 5.1.1.4).
const Protocol = 112

// MaxAddresses is how many addresses an advertisement can carry: the count
// is one octet (RFC 9568 section 5.2.5).
const MaxAddresses = 255

// The bounds of Advertisement_Interval, which is sent as 12 bits of
// centiseconds (RFC 9568 section 5.2.7).
const (
	IntervalUnit = 10 * time.Millisecond
	MinInterval  = IntervalUnit
	MaxInterval  = 4095 * IntervalUnit
)

// Values and sizes of the fixed fields (RFC 9568 section 5.1).
const (
	version3          = 3
	typeAdvertisement = 1
	headerLen         = 8
	checksumOffset    = 6
	requiredTTL       = 255
)

// Advertisement is what the messages of both versions say (RFC 9568 section
// 5.1, RFC 3768 section 5.1).
type Advertisement struct {
	VRID      uint8
	Priority  uint8         // 0: the sender has given up; 255: it owns the addresses
	Interval  time.Duration // Max Advertise Interval, a multiple of IntervalUnit; of a second in version 2
	Addresses []netip.Addr  // of one family
}

// String returns the advertisement as one line for traces and logs.
func (a Advertisement) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "vrid %d priority %d interval %v", a.VRID, a.Priority, a.Interval)
	for i, addr := range a.Addresses {
		b.WriteString([]string{" ", ","}[min(i, 1)])
		b.WriteString(addr.String())
	}
	return b.String()
}
