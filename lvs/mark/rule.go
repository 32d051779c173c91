// Package mark keeps an nftables table of our own, whose rules give packets
// the firewall marks by which IPVS finds virtual servers.
package mark

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"bascule/lvs"
)

// Rule gives the packets of a match a firewall mark. Of several rules that
// match a packet, the last decides.
type Rule struct {
	Mark uint32 // not 0, which is no mark
	lvs.Match
}

// validate says what nftables would refuse, or would take for something else.
func (r Rule) validate() error {
	switch {
	case r.Mark == 0:
		return fmt.Errorf("rule %v: mark 0: want 1 or more", r.Match)
	case !slices.Contains(lvs.Protocols(), r.Protocol):
		return fmt.Errorf("rule %v: protocol %v: want one of %v", r.Match, r.Protocol, lvs.Protocols())
	case !r.First.IsValid() || r.First.Is4In6() || r.First.BitLen() != r.Last.BitLen() || r.Last.Is4In6() || r.Last.Less(r.First):
		return fmt.Errorf("rule %v: addresses: want a range of one family", r.Match)
	case r.FirstPort == 0 || r.LastPort < r.FirstPort:
		return fmt.Errorf("rule %v: ports: want a range from 1 on", r.Match)
	}
	return nil
}

// Where the kernel has the destination in the headers.
const (
	ipv4Destination = 16
	ipv6Destination = 24
	destinationPort = 2
)

// register is the only one that a rule needs.
const register = unix.NFT_REG_1

// expressions returns the rule in the kernel's words.
func (r Rule) expressions() []expr.Any {
	family, offset := byte(unix.NFPROTO_IPV4), uint32(ipv4Destination)
	if r.First.Is6() {
		family, offset = unix.NFPROTO_IPV6, ipv6Destination
	}
	first, last := r.First.AsSlice(), r.Last.AsSlice()
	port := func(n uint16) []byte { return binary.BigEndian.AppendUint16(nil, n) }
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: register},
		within([]byte{family}, []byte{family}),
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: register},
		within([]byte{byte(r.Protocol)}, []byte{byte(r.Protocol)}),
		&expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: uint32(len(first))},
		within(first, last),
		&expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: destinationPort, Len: 2},
		within(port(r.FirstPort), port(r.LastPort)),
		&expr.Immediate{Register: register, Data: binaryutil.NativeEndian.PutUint32(r.Mark)},
		&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: register},
	}
}

// within compares the register with a range, or with the only value in it.
func within(first, last []byte) expr.Any {
	if slices.Equal(first, last) {
		return &expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: first}
	}
	return &expr.Range{Op: expr.CmpOpEq, Register: register, FromData: first, ToData: last}
}
