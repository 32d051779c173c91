package link

import (
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// frameTimeout bounds how long one frame may wait for room in the socket.
const frameTimeout = 100 * time.Millisecond

// hardwareLen is the length of an Ethernet address. Interfaces of other kinds
// (loopback with none, point-to-point) have no ARP to announce by.
const hardwareLen = 6

// frameWriter is a link-layer socket: packet.Conn.
type frameWriter interface {
	WriteTo(frame []byte, to net.Addr) (int, error)
	SetWriteDeadline(time.Time) error
	Close() error
}

// arpSender sends gratuitous ARP on one interface over one socket, which it
// opens again when the interface has another index. It belongs to one
// goroutine.
type arpSender struct {
	device func() (device, bool) // as last seen; false if there is no interface
	open   func(device) (frameWriter, error)
	conn   frameWriter
	index  int
}

// send announces addr from the interface's own hardware address. A missing
// interface is unix.ENODEV; a loopback interface has nobody to tell, which is
// no error.
func (s *arpSender) send(addr netip.Addr) error {
	d, ok := s.device()
	if !ok {
		return unix.ENODEV
	}
	if len(d.hardware) != hardwareLen {
		return nil
	}
	frame, err := gratuitousARP(d.hardware, addr)
	if err != nil {
		return err
	}
	if s.conn != nil && s.index != d.index {
		s.close()
	}
	if s.conn == nil {
		if s.conn, err = s.open(d); err != nil {
			s.conn = nil
			return fmt.Errorf("open the socket for gratuitous ARP: %w", err)
		}
		s.index = d.index
	}
	// An error here comes back with the write.
	_ = s.conn.SetWriteDeadline(time.Now().Add(frameTimeout))
	if _, err := s.conn.WriteTo(frame, &packet.Addr{HardwareAddr: ethernet.Broadcast}); err != nil {
		s.close()
		return fmt.Errorf("send gratuitous ARP for %s: %w", addr, err)
	}
	return nil
}

// close releases the socket. The next send opens another.
func (s *arpSender) close() {
	if s.conn != nil {
		_ = s.conn.Close()
		s.conn = nil
	}
}

// openFrames opens a socket for ARP frames. It works on an interface without
// any address and receives nothing.
func openFrames(d device) (frameWriter, error) {
	deny, err := bpf.Assemble([]bpf.Instruction{bpf.RetConstant{Val: 0}})
	if err != nil {
		return nil, err
	}
	ifi := &net.Interface{Index: d.index, HardwareAddr: d.hardware}
	return packet.Listen(ifi, packet.Raw, int(ethernet.EtherTypeARP), &packet.Config{Filter: deny})
}

// gratuitousARP returns the Ethernet frame that tells everybody on the link
// that addr is at hardware: a request with the address as sender and target,
// as keepalived sends it (RFC 5944 section 4.6 allows requests and replies,
// RFC 5227 section 3 says why a request is understood by more hosts).
func gratuitousARP(hardware net.HardwareAddr, addr netip.Addr) ([]byte, error) {
	p, err := arp.NewPacket(arp.OperationRequest, hardware, addr, ethernet.Broadcast, addr)
	if err != nil {
		return nil, fmt.Errorf("gratuitous ARP for %s from %s: %w", addr, hardware, err)
	}
	payload, err := p.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("gratuitous ARP for %s from %s: %w", addr, hardware, err)
	}
	f := ethernet.Frame{
		Destination: ethernet.Broadcast, Source: hardware,
		EtherType: ethernet.EtherTypeARP, Payload: payload,
	}
	return f.MarshalBinary()
}
