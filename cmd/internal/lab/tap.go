package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"

	"bascule/vrrp"
)

// Packet is an IPv4 packet of VRRP as a tap sends or hears it: with whatever
// source and TTL.
type Packet struct {
	Source      netip.Addr
	Destination netip.Addr
	TTL         uint8
	Payload     []byte
	At          time.Time // when it was heard
}

// Tap is a host's access to the frames of a LAN: it hears what the first
// director's card sends, and says whatever it is told.
type Tap struct {
	in, out *packet.Conn
	buffer  []byte
}

// The parts of a frame that a tap looks at.
const (
	ipHeaderLen    = 20
	ethernetLen    = 14
	protocolOffset = ethernetLen + 9
	floodPause     = 5 * time.Millisecond
)

// OpenTap opens an interface of a host.
func OpenTap(host *Host, iface string) (*Tap, error) {
	t := &Tap{buffer: make([]byte, 2048)}
	active := hardwareAddress(host.lab.LB.cards[0].address.Addr())
	filter, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 6, Size: 4}, // the source
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: binary.BigEndian.Uint32(active), SkipTrue: 5},
		bpf.LoadAbsolute{Off: 10, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(binary.BigEndian.Uint16(active[4:])), SkipTrue: 3},
		bpf.LoadAbsolute{Off: protocolOffset, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: vrrp.Protocol, SkipTrue: 1},
		bpf.RetConstant{Val: 2048},
		bpf.RetConstant{Val: 0},
	})
	if err != nil {
		return nil, err
	}
	deny, err := bpf.Assemble([]bpf.Instruction{bpf.RetConstant{Val: 0}})
	if err != nil {
		return nil, err
	}
	err = host.Do(func() error {
		card, err := net.InterfaceByName(iface)
		if err != nil {
			return err
		}
		if t.in, err = packet.Listen(card, packet.Raw, int(ethernet.EtherTypeIPv4), &packet.Config{Filter: filter}); err != nil {
			return err
		}
		t.out, err = packet.Listen(card, packet.Raw, int(ethernet.EtherTypeIPv4), &packet.Config{Filter: deny})
		return err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("tap on %s of %s: %v", iface, host.Name, err), t.Close())
	}
	return t, nil
}

// Close releases the tap.
func (t *Tap) Close() error {
	var errs []error
	for _, c := range []*packet.Conn{t.in, t.out} {
		if c != nil {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(errs...)
}

// Receive returns the advertisements that the first director's card sends
// within a time.
func (t *Tap) Receive(within time.Duration) ([]Packet, error) {
	if err := t.in.SetReadDeadline(time.Now().Add(within)); err != nil {
		return nil, err
	}
	var heard []Packet
	for {
		n, _, err := t.in.ReadFrom(t.buffer)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return heard, nil
		}
		if err != nil {
			return heard, err
		}
		const least = ethernetLen + ipHeaderLen + 2
		if n < least {
			continue
		}
		ip := t.buffer[ethernetLen:n]
		heard = append(heard, Packet{
			Source: netip.AddrFrom4([4]byte(ip[12:16])), Destination: netip.AddrFrom4([4]byte(ip[16:20])),
			TTL: ip[8], Payload: append([]byte(nil), ip[ipHeaderLen:binary.BigEndian.Uint16(ip[2:])]...), At: time.Now(),
		})
	}
}

// Flood sends that many packets, each of the list in its turn, at a rate a
// second, and returns how many of each it has sent.
func (t *Tap) Flood(packets []Packet, count, rate int) (sent []int, err error) {
	frames := make([][]byte, len(packets))
	for i, p := range packets {
		if frames[i], err = p.frame(); err != nil {
			return nil, err
		}
	}
	sent = make([]int, len(packets))
	to := &packet.Addr{HardwareAddr: vrrpHardwareAddress}
	start := time.Now()
	for n := range count {
		if due := start.Add(time.Duration(n) * time.Second / time.Duration(rate)); time.Until(due) > floodPause {
			time.Sleep(time.Until(due))
		}
		i := n % len(frames)
		if _, err := t.out.WriteTo(frames[i], to); err != nil {
			return sent, fmt.Errorf("flood: %v", err)
		}
		sent[i]++
	}
	return sent, nil
}

// vrrpHardwareAddress is where frames for the group address of VRRP go (RFC
// 1112 section 6.4).
var vrrpHardwareAddress = net.HardwareAddr{0x01, 0x00, 0x5e, 0x00, 0x00, 0x12}

// tapHardwareAddress is the source of what a tap sends: nobody's.
var tapHardwareAddress = net.HardwareAddr{0x02, 0x66, 0x66, 0x66, 0x66, 0x66}

// frame is the packet as it goes over an Ethernet.
func (p Packet) frame() ([]byte, error) {
	ip := make([]byte, ipHeaderLen, ipHeaderLen+len(p.Payload))
	ip[0], ip[8], ip[9] = 0x45, p.TTL, vrrp.Protocol
	binary.BigEndian.PutUint16(ip[2:], uint16(ipHeaderLen+len(p.Payload)))
	copy(ip[12:], p.Source.AsSlice())
	copy(ip[16:], p.Destination.AsSlice())
	binary.BigEndian.PutUint16(ip[10:], ^onesSum(ip))
	f := ethernet.Frame{
		Destination: vrrpHardwareAddress, Source: tapHardwareAddress,
		EtherType: ethernet.EtherTypeIPv4, Payload: append(ip, p.Payload...),
	}
	return f.MarshalBinary()
}
