package checker

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

const (
	// maxUDP is the longest payload of UDP over IPv4.
	maxUDP = 65507
	// maxShown is how many bytes of a reply a reason shows, two digits each.
	maxShown = maxQuoted / 2
)

// UDP sends one datagram. Without Require it succeeds unless the target says
// within the timeout that nobody listens: a machine that is dead says nothing
// of the kind, so this wants a ping beside it. With Require it succeeds when a
// reply comes that is as expected.
type UDP struct {
	Payload  string // the bytes to send; may be empty
	Require  bool   // a reply must come
	Reply    string // what a reply begins with: hexadecimal digits, "x" for any; "": anything. Only with Require
	MinReply int    // bytes of a reply
	MaxReply int    // bytes of a reply; 0: any number
}

// Kind returns "udp".
func (UDP) Kind() string { return "udp" }

// Validate says what is wrong with the parameters of a UDP check, beginning
// with the name of the parameter.
func (u UDP) Validate() error {
	switch {
	case len(u.Payload) > maxUDP:
		return fmt.Errorf("payload of %d bytes is too long: at most %d", len(u.Payload), maxUDP)
	case u.MinReply < 0 || u.MinReply > maxUDP:
		return fmt.Errorf("min_reply %d is no length of a reply: 0 to %d", u.MinReply, maxUDP)
	case u.MaxReply < 0 || u.MaxReply > maxUDP:
		return fmt.Errorf("max_reply %d is no length of a reply: 0 (any) to %d", u.MaxReply, maxUDP)
	case u.MaxReply != 0 && u.MinReply > u.MaxReply:
		return fmt.Errorf("min_reply %d is more than max_reply %d", u.MinReply, u.MaxReply)
	case !u.Require && (u.Reply != "" || u.MinReply != 0 || u.MaxReply != 0):
		return errors.New("reply, min_reply and max_reply have no effect unless a reply is required")
	}
	pattern, err := parseUDPPattern(u.Reply)
	if err != nil {
		return err
	}
	if u.MaxReply != 0 && len(pattern.data) > u.MaxReply {
		return fmt.Errorf("reply of %d bytes is longer than max_reply %d", len(pattern.data), u.MaxReply)
	}
	return nil
}

// udpPattern is what a reply begins with.
type udpPattern struct {
	data, mask []byte // of the same length; only the bits of mask count
}

// parseUDPPattern reads hexadecimal digits, two a byte, where "x" stands for
// any digit. Spaces do not count.
func parseUDPPattern(text string) (p udpPattern, err error) {
	digits := strings.ToLower(strings.ReplaceAll(text, " ", ""))
	known := strings.ReplaceAll(digits, "x", "0")
	if p.data, err = hex.DecodeString(known); err == nil {
		cared := func(r rune) rune {
			if r == 'x' {
				return '0'
			}
			return 'f'
		}
		p.mask, err = hex.DecodeString(strings.Map(cared, digits))
	}
	if err != nil {
		return udpPattern{}, fmt.Errorf("reply %q is no pattern: two hexadecimal digits for each byte, or \"x\" in place of any digit", text)
	}
	return p, nil
}

// matches says whether a reply begins with the pattern.
func (p udpPattern) matches(reply []byte) bool {
	if len(reply) < len(p.data) {
		return false
	}
	for i, mask := range p.mask {
		if (reply[i]^p.data[i])&mask != 0 {
			return false
		}
	}
	return true
}

// udpChecker is the probe of one target.
type udpChecker struct {
	UDP
	target  endpoint
	payload []byte
	pattern udpPattern
}

// checker returns the probe of one target.
func (u UDP) checker(to endpoint) (Checker, error) {
	pattern, err := parseUDPPattern(u.Reply)
	if err != nil {
		return nil, err
	}
	return CheckFunc((&udpChecker{UDP: u, target: to, payload: []byte(u.Payload), pattern: pattern}).check), nil
}

// check sends the payload and waits for a reply.
func (c *udpChecker) check(ctx context.Context) error {
	conn, end, err := c.target.connection(ctx, "udp")
	if err != nil {
		return err
	}
	defer end()
	if _, err := conn.Write(c.payload); err != nil {
		return describe(ctx, err, c.target.timeout)
	}
	shared := packetBuffers.Get().(*[maxPacket]byte)
	defer packetBuffers.Put(shared)
	buffer := shared[:]
	if need := max(c.MinReply, c.MaxReply, len(c.pattern.data)) + 1; need > len(buffer) {
		buffer = make([]byte, need)
	}
	n, err := conn.Read(buffer)
	if err == nil {
		return c.judge(buffer[:n])
	}
	err = describe(ctx, err, c.target.timeout)
	if late := (timeoutError{}); !c.Require && errors.As(err, &late) {
		return nil
	}
	return err
}

// judge returns what is wrong with a reply.
func (c *udpChecker) judge(reply []byte) error {
	switch n := len(reply); {
	case !c.Require:
		return nil
	case n < c.MinReply || c.MaxReply != 0 && n > c.MaxReply:
		return c.wrongLength(n)
	case !c.pattern.matches(reply):
		return fmt.Errorf("UDP reply %s, wanted %s", shownBytes(reply), clip(c.Reply, maxQuoted))
	}
	return nil
}

// wrongLength says so. What is longer than allowed was not read to its end.
func (c *udpChecker) wrongLength(n int) error {
	switch {
	case c.MaxReply == 0:
		return fmt.Errorf("UDP reply of %d bytes, wanted %d or more", n, c.MinReply)
	case n > c.MaxReply:
		return fmt.Errorf("UDP reply of more than %d bytes, wanted %d to %d", c.MaxReply, c.MinReply, c.MaxReply)
	}
	return fmt.Errorf("UDP reply of %d bytes, wanted %d to %d", n, c.MinReply, c.MaxReply)
}

// shownBytes are the digits of the beginning of a reply.
func shownBytes(reply []byte) string {
	if len(reply) == 0 {
		return "without data"
	}
	if len(reply) > maxShown {
		return hex.EncodeToString(reply[:maxShown]) + "…"
	}
	return hex.EncodeToString(reply)
}
