package checker

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// DNS succeeds when a server answers one question with an accepted code, and
// with an expected record if there is one. Answers to anything else are
// ignored until the timeout.
type DNS struct {
	Name      string // that is asked for; "." or "": the root
	Type      string // "A", "SOA", …, "TYPE65" or "65"; "": "SOA"
	Rcode     string // accepted codes, "NOERROR" or "NOERROR,NXDOMAIN"; "": "NOERROR"
	Answer    string // the data of one record of the answer, as a zone file has it; "": any answer
	Recursion bool   // ask the server to find out what it does not know
	TCP       bool   // ask over TCP
}

// Kind returns "dns".
func (DNS) Kind() string { return "dns" }

// Validate says what is wrong with the parameters of a DNS check, beginning
// with the name of the parameter.
func (d DNS) Validate() error {
	if _, err := dnsName(d.Name); err != nil {
		return err
	}
	kind, err := dnsType(d.Type)
	if err != nil {
		return err
	}
	if _, err := dnsRcodes(d.Rcode); err != nil {
		return err
	}
	return d.validateAnswer(kind)
}

// validateAnswer says what is wrong with the answer to a question for a type.
func (d DNS) validateAnswer(kind dnsmessage.Type) error {
	if d.Answer != strings.TrimSpace(d.Answer) || strings.ContainsFunc(d.Answer, func(r rune) bool { return r < ' ' }) {
		return fmt.Errorf("answer %q is not the data of a record as a zone file has it, such as \"10 mx.example.org.\"", d.Answer)
	}
	addr, err := netip.ParseAddr(d.Answer)
	switch {
	case d.Answer == "":
	case kind == dnsmessage.TypeA && (err != nil || !addr.Is4()):
		return fmt.Errorf("answer %q is no IPv4 address", d.Answer)
	case kind == dnsmessage.TypeAAAA && (err != nil || !addr.Is6() || addr.Zone() != ""):
		return fmt.Errorf("answer %q is no IPv6 address", d.Answer)
	case !dnsHasForm(kind) && dnsGeneric(d.Answer) == "":
		return fmt.Errorf("answer %q of type %s must be in the form of RFC 3597, such as \"\\# 4 0a000001\": the length, and the bytes in hexadecimal", d.Answer, d.Type)
	}
	return nil
}

// dnsChecker is the probe of one target.
type dnsChecker struct {
	target   endpoint
	question dnsmessage.Question
	query    []byte // of TCP, which begins with its length; the id is 0
	rcodes   dnsRcodeSet
	answer   string // canonical
	tcp      bool
}

// checker returns the probe of one target.
func (d DNS) checker(to endpoint) (Checker, error) {
	name, err := dnsName(d.Name)
	if err != nil {
		return nil, err
	}
	kind, err := dnsType(d.Type)
	if err != nil {
		return nil, err
	}
	c := &dnsChecker{target: to, tcp: d.TCP, answer: dnsCanonical(d.Answer, kind)}
	c.question = dnsmessage.Question{Name: name, Type: kind, Class: dnsmessage.ClassINET}
	if c.rcodes, err = dnsRcodes(d.Rcode); err != nil {
		return nil, err
	}
	message := dnsmessage.Message{
		Header:    dnsmessage.Header{RecursionDesired: d.Recursion},
		Questions: []dnsmessage.Question{c.question},
	}
	if c.query, err = message.AppendPack(make([]byte, 2, 300)); err != nil {
		return nil, fmt.Errorf("name %q: %w", d.Name, err)
	}
	binary.BigEndian.PutUint16(c.query, uint16(len(c.query)-2))
	return CheckFunc(c.check), nil
}

// check asks over UDP, and over TCP if that is asked for or if the expected
// record may be in the part of an answer that has been cut off.
func (c *dnsChecker) check(ctx context.Context) error {
	reply, err := dnsReply{truncated: true}, error(nil)
	if !c.tcp {
		if reply, err = c.ask(ctx, "udp"); err != nil {
			return err
		}
	}
	if reply.truncated && (c.tcp || c.rcodes.has(reply.rcode) && c.answer != "" && !reply.found) {
		if reply, err = c.ask(ctx, "tcp"); err != nil {
			return err
		}
	}
	switch {
	case !c.rcodes.has(reply.rcode):
		return fmt.Errorf("DNS %s, wanted %s", dnsRcodeName(reply.rcode), c.rcodes)
	case c.answer == "" || reply.found:
		return nil
	case reply.other == "":
		return fmt.Errorf("DNS answer without records, wanted %s", printed(c.answer))
	}
	return fmt.Errorf("DNS answer %s, wanted %s", printed(reply.other), printed(c.answer))
}

// alienError is the timeout of a server that answers, but not the question.
type alienError struct{ timeoutError }

// Error returns the words for an administrator.
func (e alienError) Error() string {
	return e.timeoutError.Error() + ", with answers to other questions"
}

// ask sends the question on a connection of its own and waits for the answer
// to it.
func (c *dnsChecker) ask(ctx context.Context, network string) (dnsReply, error) {
	conn, end, err := c.target.connection(ctx, network)
	if err != nil {
		return dnsReply{}, err
	}
	defer end()
	reply, aliens, err := c.exchange(conn, network == "tcp")
	if err == nil {
		return reply, nil
	}
	err = describe(ctx, err, c.target.timeout)
	if late := (timeoutError{}); aliens && errors.As(err, &late) {
		err = alienError{late}
	}
	return dnsReply{}, err
}

// exchange sends the question and reads until there is an answer to it. That
// it has read others is said in aliens.
func (c *dnsChecker) exchange(conn net.Conn, framed bool) (reply dnsReply, aliens bool, err error) {
	buffer := packetBuffers.Get().(*[maxPacket]byte)
	defer packetBuffers.Put(buffer)
	id := uint16(rand.Uint32())
	query := buffer[:copy(buffer[:], c.query)]
	binary.BigEndian.PutUint16(query[2:], id)
	if !framed {
		query = query[2:]
	}
	if _, err := conn.Write(query); err != nil {
		return dnsReply{}, false, err
	}
	for {
		message, err := readDNS(conn, buffer[:], framed)
		if err != nil {
			return dnsReply{}, aliens, err
		}
		if reply, ours := c.read(message, id); ours {
			return reply, aliens, nil
		}
		aliens = true
	}
}

// readDNS reads one message into a buffer, or a larger one if TCP brings more.
func readDNS(conn net.Conn, buffer []byte, framed bool) ([]byte, error) {
	if !framed {
		n, err := conn.Read(buffer)
		return buffer[:n], err
	}
	if _, err := io.ReadFull(conn, buffer[:2]); err != nil {
		return nil, dnsClosed(err)
	}
	size := int(binary.BigEndian.Uint16(buffer))
	if size > len(buffer) {
		buffer = make([]byte, size) // 64 KiB at most, and rare
	}
	if _, err := io.ReadFull(conn, buffer[:size]); err != nil {
		return nil, dnsClosed(err)
	}
	return buffer[:size], nil
}

// dnsClosed puts the early end of a connection into words.
func dnsClosed(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("connection closed before a whole DNS answer")
	}
	return err
}
