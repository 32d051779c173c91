package checker

import (
	"encoding/binary"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Types of messages of ICMP (RFC 792) and ICMPv6 (RFC 4443, section 4).
const (
	echoReply    = 0
	echoRequest  = 8
	echoRequest6 = 128
	echoReply6   = 129
)

const (
	// echoHeader is the length of type, code, checksum, identifier and
	// sequence number.
	echoHeader = 8
	// echoSize is the length of a message: of 56 bytes of data, as ping(8)
	// has it.
	echoSize = echoHeader + 56
)

// pingEcho is the content of a request and of the reply to it. The sequence
// number is the end of the number.
type pingEcho struct {
	ident         uint16
	nonce, number uint64
}

// request returns the message. The kernel fills in the checksum of ICMPv6,
// and of a "ping socket" also that of ICMP and the identifier.
func (e pingEcho) request(six bool) (message [echoSize]byte) {
	message[0] = echoRequest
	if six {
		message[0] = echoRequest6
	}
	binary.BigEndian.PutUint16(message[4:], e.ident)
	binary.BigEndian.PutUint16(message[6:], uint16(e.number))
	binary.BigEndian.PutUint64(message[8:], e.nonce)
	binary.BigEndian.PutUint64(message[16:], e.number)
	for i := 24; i < echoSize; i++ {
		message[i] = byte(i)
	}
	if !six {
		binary.BigEndian.PutUint16(message[2:], checksum(message[:]))
	}
	return message
}

// checksum is the checksum of RFC 1071 of an even number of bytes.
func checksum(message []byte) uint16 {
	sum := uint32(0)
	for i := 0; i < len(message); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(message[i:]))
	}
	sum = sum>>16 + sum&0xffff
	return ^uint16(sum + sum>>16)
}

// parseEcho reads a reply. All of its data must be as it was sent.
func parseEcho(message []byte, six bool) (e pingEcho, ok bool) {
	kind := byte(echoReply)
	if six {
		kind = echoReply6
	}
	if len(message) != echoSize || message[0] != kind || message[1] != 0 {
		return pingEcho{}, false
	}
	e = pingEcho{
		ident:  binary.BigEndian.Uint16(message[4:]),
		nonce:  binary.BigEndian.Uint64(message[8:]),
		number: binary.BigEndian.Uint64(message[16:]),
	}
	sent := e.request(six)
	return e, string(sent[4:]) == string(message[4:])
}

// withoutHeader is an IPv4 packet without its header; nil if it is none.
func withoutHeader(packet []byte) []byte {
	if len(packet) == 0 || packet[0]>>4 != 4 {
		return nil
	}
	size := int(packet[0]&15) * 4
	if size < 20 || size > len(packet) {
		return nil
	}
	return packet[size:]
}

// filter makes a raw socket receive replies with its identifier only: the
// kernel gives it all ICMP messages of the machine.
func (p *pinger) filter(fd int) error {
	ident := bpf.Instruction(bpf.LoadIndirect{Off: 4, Size: 2}) // behind the IPv4 header
	if p.way.six {
		ident = bpf.LoadAbsolute{Off: 4, Size: 2}
	}
	kind := bpf.Instruction(bpf.LoadIndirect{Off: 0, Size: 1})
	reply := uint32(echoReply)
	if p.way.six {
		kind, reply = bpf.LoadAbsolute{Off: 0, Size: 1}, echoReply6
	}
	program, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadMemShift{Off: 0}, // the length of the IPv4 header
		kind,
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: reply, SkipTrue: 3},
		ident,
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(p.ident), SkipTrue: 1},
		bpf.RetConstant{Val: 1 << 16}, // all of the message
		bpf.RetConstant{Val: 0},
	})
	if err != nil {
		return err
	}
	instructions := make([]unix.SockFilter, len(program))
	for i, in := range program {
		instructions[i] = unix.SockFilter{Code: in.Op, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{
		Len: uint16(len(instructions)), Filter: &instructions[0],
	})
}
