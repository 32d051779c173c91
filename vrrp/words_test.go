package vrrp

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// TestWords pins the words that logs, status and metrics show.
func TestWords(t *testing.T) {
	addr := netip.MustParseAddr
	tests := []struct {
		value fmt.Stringer
		want  string
	}{
		{Advertisement{VRID: 1, Interval: 250 * time.Millisecond}, "vrid 1 priority 0 interval 250ms"},
		{Advertisement{VRID: 56, Priority: 150, Interval: time.Second, Addresses: []netip.Addr{addr("192.0.2.1")}},
			"vrid 56 priority 150 interval 1s 192.0.2.1"},
		{Advertisement{VRID: 56, Priority: 150, Interval: time.Second, Addresses: []netip.Addr{addr("fe80::1"), addr("2001:db8::1"), addr("2001:db8::2")}},
			"vrid 56 priority 150 interval 1s fe80::1,2001:db8::1,2001:db8::2"},
		{ChecksumPseudoHeader, "pseudo-header"},
		{ChecksumMessage, "message"},
		{IPv4, "ipv4"},
		{IPv6, "ipv6"},
		{Version3, "3"},
		{Version2, "2"},
		{AuthReceiveOnly, "receive-only"},
		{AuthPermissive, "permissive"},
		{AuthEnforce, "enforce"},
		{AuthEnforce + 1, "invalid mode"},
		{Initialize, "initialize"},
		{Backup, "backup"},
		{Active, "active"},
		{State(3), "invalid state"},
		{NotDropped, "none"},
		{DropTTL, "ttl"},
		{DropOwnSource, "own_source"},
		{DropInitialize, "initialize"},
		{DropReplay, "replay"},
		{DropDuplicate, "duplicate"},
		{dropReasons, "invalid reason"},
		{NoFault, "none"},
		{FaultDown, "link down"},
		{FaultSocket + 1, "invalid fault"},
		{NoticeAddressMismatch, "address list mismatch"},
		{noticeKinds, "invalid notice"},
	}
	for _, tt := range tests {
		if got := tt.value.String(); got != tt.want {
			t.Errorf("%#v: %q, want %q", tt.value, got, tt.want)
		}
	}
}

// TestWordsAreDistinct: a label or a log word that two values share would
// merge what they stand for.
func TestWordsAreDistinct(t *testing.T) {
	seen := make(map[string]string)
	check := func(v fmt.Stringer) {
		t.Helper()
		key := fmt.Sprintf("%T %v", v, v)
		if other, twice := seen[key]; twice || v.String() == "" {
			t.Errorf("%#v and %s have the same word %q", v, other, v)
		}
		seen[key] = fmt.Sprintf("%#v", v)
	}
	for d := NotDropped; d <= dropReasons; d++ {
		check(d)
	}
	for k := NoticeKind(0); k <= noticeKinds; k++ {
		check(k)
	}
	for f := NoFault; f <= FaultSocket+1; f++ {
		check(f)
	}
	for m := AuthReceiveOnly; m <= AuthEnforce+1; m++ {
		check(m)
	}
	for s := Initialize; s <= Active+1; s++ {
		check(s)
	}
}
