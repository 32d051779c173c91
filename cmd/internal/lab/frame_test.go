package lab

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/bpf"
)

// Frames of keepalived 2.2.7 as they were on the wire, and some of nobody's.
const (
	frameVRRP4 = "01005e0000127ecc3b4ca6a3080045c0002000010000ff701899c0000201e000001231336401000a05ccc0000264"
	frameVRRP6 = "3333000000127ecc3b4ca6a386dd6c02dd8d002870fffe800000000000007ccc3bfffe4ca6a3ff02000000000000000000000000001231336402000ae09bfe80000000000000000000000000010020010db8000000000000000000000100"
	frameARP   = "ffffffffffff7ecc3b4ca6a3080600010800060400017ecc3b4ca6a3c0000264ffffffffffffc0000264"
	frameNA    = "3333000000017ecc3b4ca6a386dd6000000000203afffe800000000000000000000000000100ff0200000000000000000000000000018800f6e120000000fe80000000000000000000000000010002017ecc3b4ca6a3"
	// An ordinary question for an address, and an answer to one.
	frameWhoHas    = "ffffffffffff7ecc3b4ca6a3080600010800060400017ecc3b4ca6a3c0000264000000000000c0000201"
	frameSolicited = "3333000000017ecc3b4ca6a386dd6000000000203afffe800000000000000000000000000100ff0200000000000000000000000000018800f6e160000000fe80000000000000000000000000010002017ecc3b4ca6a3"
	frameTCP       = "02000000000102000000000208004500002800010000400600000a0000010a000002000100020000000000000000500200000000"
	// VRRP version 2 with the password "secret" (RFC 2338), padded by the card.
	frameVRRP2 = "01005e0000120200000000010800" + "4500002800000000ff700000c0000201e0000012" +
		"2133640101037b17c00002647365637265740000" + "000000000000"
)

// socketFilter is the capture's filter as tcpdump compiles it for the kernel.
func socketFilter(t testing.TB) *bpf.VM {
	t.Helper()
	text, err := output(exec.CommandContext(t.Context(), "tcpdump", "-ddd", "-y", "EN10MB", "-s", fmt.Sprint(maxFrame), interesting))
	if err != nil {
		t.Fatal(err)
	}
	var program []bpf.RawInstruction
	for line := range strings.Lines(text[strings.IndexByte(text, '\n')+1:]) {
		var i bpf.RawInstruction
		if _, err := fmt.Sscan(line, &i.Op, &i.Jt, &i.Jf, &i.K); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		program = append(program, i)
	}
	instructions, known := bpf.Disassemble(program)
	vm, err := bpf.NewVM(instructions)
	if err != nil || !known {
		t.Fatalf("filter %v: %v", program, err)
	}
	return vm
}

// unhex turns the text of a frame into its bytes.
func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// compareAddresses lets cmp compare addresses, which have hidden fields.
var compareAddresses = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

// TestParseFrame decodes what keepalived sends, leaves aside what announces
// nothing, and does both as the socket filter does.
func TestParseFrame(t *testing.T) {
	t.Parallel()
	addr := netip.MustParseAddr
	const mac = "7e:cc:3b:4c:a6:a3"
	tests := []struct {
		name   string
		hex    string
		want   *Frame // nil: of no interest
		passes bool   // the socket filter
	}{
		{"VRRP, IPv4", frameVRRP4, &Frame{Kind: Advertisement, MAC: mac, Source: addr("192.0.2.1"), Destination: addr("224.0.0.18"), TTL: 255,
			Version: 3, VRID: 51, Priority: 100, Interval: 100 * time.Millisecond, Checksum: ChecksumPseudoHeader,
			Addresses: []netip.Addr{addr("192.0.2.100")}}, true},
		{"VRRP, IPv6", frameVRRP6, &Frame{Kind: Advertisement, MAC: mac, Source: addr("fe80::7ccc:3bff:fe4c:a6a3"), Destination: addr("ff02::12"), TTL: 255,
			Version: 3, VRID: 51, Priority: 100, Interval: 100 * time.Millisecond, Checksum: ChecksumPseudoHeader,
			Addresses: []netip.Addr{addr("fe80::100"), addr("2001:db8::100")}}, true},
		{"gratuitous ARP", frameARP, &Frame{Kind: GratuitousARP, MAC: mac, Addresses: []netip.Addr{addr("192.0.2.100")}}, true},
		{"unsolicited neighbour advertisement", frameNA, &Frame{Kind: NeighbourUnsolicited, MAC: mac,
			Source: addr("fe80::100"), Destination: addr("ff02::1"), TTL: 255, Addresses: []netip.Addr{addr("fe80::100")}}, true},
		{"ARP question", frameWhoHas, nil, true},
		{"solicited neighbour advertisement", frameSolicited, nil, true},
		{"TCP", frameTCP, nil, false},
	}
	filter := socketFilter(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := unhex(t, tt.hex)
			f, ok := parseFrame(b)
			var got *Frame
			if ok {
				got = &f
			}
			if diff := cmp.Diff(tt.want, got, compareAddresses); diff != "" {
				t.Errorf("frame (-want +got):\n%s", diff)
			}
			length, err := filter.Run(b)
			if err != nil || length > 0 != tt.passes {
				t.Errorf("filter lets %d bytes pass, %v; want to pass: %v", length, err, tt.passes)
			}
		})
	}
}

// TestParseFrameVersion2 takes the interval in seconds and the password apart
// from the addresses.
func TestParseFrameVersion2(t *testing.T) {
	t.Parallel()
	f, ok := parseFrame(unhex(t, frameVRRP2))
	if !ok || f.Version != 2 || f.Interval != 3*time.Second || f.VRID != 51 || len(f.Addresses) != 1 || f.Checksum != ChecksumMessage {
		t.Errorf("%v, %+v; want version 2, VRID 51, 3 s, one address, a correct checksum", ok, f)
	}
	if string(f.Trailer) != "secret\x00\x00" {
		t.Errorf("trailer %q, want the password", f.Trailer)
	}
}

// TestParseFrameShort cuts each frame at each place: never a panic, and never
// a frame that is not whole.
func TestParseFrameShort(t *testing.T) {
	t.Parallel()
	for _, text := range []string{frameVRRP4, frameVRRP6, frameARP, frameNA} {
		b := unhex(t, text)
		for n := range b {
			if f, ok := parseFrame(b[:n]); ok {
				t.Errorf("%d bytes of %d of %s: %+v", n, len(b), text, f)
			}
		}
	}
}

// FuzzParseFrame looks for a panic, and for a frame of interest that the
// socket filter would not have let pass.
func FuzzParseFrame(f *testing.F) {
	for _, text := range []string{frameVRRP4, frameVRRP6, frameARP, frameNA, frameWhoHas, frameTCP} {
		f.Add(unhex(f, text))
	}
	filter := socketFilter(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		frame, ok := parseFrame(b)
		if !ok {
			return
		}
		if length, err := filter.Run(b); err != nil || length == 0 {
			t.Errorf("the filter drops %x: %v", b, err)
		}
		if frame.Kind == "" || len(frame.MAC) != len("00:00:00:00:00:00") {
			t.Errorf("%x: %+v", b, frame)
		}
	})
}

// TestChecksumForm tells apart what the checksum of an advertisement covers,
// with and without the trailer of draft-cassen-vrrp-auth-hmac, whose vectors
// these are.
func TestChecksumForm(t *testing.T) {
	t.Parallel()
	const (
		trailer4 = "0101000068000000800000001b84bc4e8e43892dc6d98448f8ee2265"
		trailer6 = "010100006800000080000000c8c56146ebfd66ee10ec4d8186461b78"
		message4 = "3133c80100644402c0000264"
		message6 = "3133c8010064a2e9fe800000000000000000000000000100"
		source4  = "c633640a"
		source6  = "fe800000000000000000000000000010"
		target6  = "fe800000000000000000000000000020"
	)
	tests := []struct {
		name string
		ip   string // header
		vrrp string // message and trailer
		want ChecksumForm
	}{
		{"IPv4, message, signed", "45c0003c00010000ff700000" + source4 + "e0000012", message4 + trailer4, ChecksumMessage},
		{"IPv4, message, not signed", "45c0002000010000ff700000" + source4 + "e0000012", message4, ChecksumMessage},
		{"IPv4, a bit is wrong", "45c0002000010000ff700000" + source4 + "e0000012", "3133c90100644402c0000264", ChecksumWrong},
		{"IPv6, signed", "6c000000003470ff" + source6 + target6, message6 + trailer6, ChecksumPseudoHeader},
		{"IPv6, without what was signed", "6c000000001870ff" + source6 + target6, message6, ChecksumWrong},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			etherType := map[byte]string{'4': "0800", '6': "86dd"}[tt.ip[0]]
			f, ok := parseFrame(unhex(t, "01005e000012020000000001"+etherType+tt.ip+tt.vrrp))
			if !ok || f.Checksum != tt.want {
				t.Errorf("checksum %q (%v), want %q", f.Checksum, ok, tt.want)
			}
			if want := unhex(t, tt.vrrp[len(message4):]); etherType == "0800" && string(f.Trailer) != string(want) {
				t.Errorf("trailer %x, want %x", f.Trailer, want)
			}
		})
	}
}
