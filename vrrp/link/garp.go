package link

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
)

// gratuitousARP returns the Ethernet frame that tells everybody on the link
// that addr is at hardware: a request with the address as sender and target,
// as keepalived sends it (RFC 5944 section 4.6 allows requests and replies,
// RFC 5227 section 3 says why a request is understood by more hosts).
func gratuitousARP(hardware net.HardwareAddr, addr netip.Addr) (*ethernet.Frame, error) {
	p, err := arp.NewPacket(arp.OperationRequest, hardware, addr, ethernet.Broadcast, addr)
	if err != nil {
		return nil, fmt.Errorf("gratuitous ARP for %s from %s: %w", addr, hardware, err)
	}
	payload, err := p.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("gratuitous ARP for %s from %s: %w", addr, hardware, err)
	}
	return &ethernet.Frame{
		Destination: ethernet.Broadcast, Source: hardware,
		EtherType: ethernet.EtherTypeARP, Payload: payload,
	}, nil
}
