package checker

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
)

// RADIUS succeeds when a server accepts User, or, without User, answers
// Status-Server (RFC 5997).
type RADIUS struct {
	Secret   Secret // shared with the server
	User     string // empty: Status-Server
	Password Secret
}

// Kind returns "radius".
func (RADIUS) Kind() string { return "radius" }

// Validate says what is wrong with the parameters.
func (p RADIUS) Validate() error {
	switch {
	case p.Secret == (Secret{}):
		return errors.New("secret is missing: that of this director on the server")
	case len(p.User) > 253:
		return fmt.Errorf("user of %d bytes: at most 253", len(p.User))
	case len(p.Password.text()) > 128:
		return fmt.Errorf("password of %d bytes: at most 128", len(p.Password.text()))
	}
	return validateLogin(p.User, p.Password)
}

// Codes of packets (RFC 2865, RFC 2866, RFC 5997).
const (
	radiusRequest    = 1
	radiusAccept     = 2
	radiusReject     = 3
	radiusAccounting = 5
	radiusChallenge  = 11
	radiusStatus     = 12
)

// Types of attributes.
const (
	radiusUserName      = 1
	radiusUserPassword  = 2
	radiusReplyMessage  = 18
	radiusNASIdentifier = 32
	radiusAuthenticator = 80 // Message-Authenticator
)

// radiusHeader is the length of a packet without attributes.
const radiusHeader = 20

// checker returns the probe of one target.
func (p RADIUS) checker(to endpoint) (Checker, error) {
	return CheckFunc(func(ctx context.Context) error {
		conn, end, err := to.connection(ctx, "udp")
		if err != nil {
			return err
		}
		defer end()
		request := p.request()
		if _, err := conn.Write(request); err != nil {
			return describe(ctx, err, to.timeout)
		}
		buffer := packetBuffers.Get().(*[maxPacket]byte) // which has room for the longest
		defer packetBuffers.Put(buffer)
		ignored := ""
		for {
			n, err := conn.Read(buffer[:])
			if err != nil {
				err = describe(ctx, err, to.timeout)
				var timeout timeoutError
				if errors.As(err, &timeout) {
					return awaitedError{timeout, "RADIUS reply" + ignored}
				}
				return err
			}
			reply, problem := parseRADIUS(buffer[:n], request, p.Secret.text())
			if problem == nil {
				return p.judge(reply)
			}
			// Anybody can send a packet with a false source address, and the
			// true reply may still come (RFC 2865, section 3).
			ignored = "; " + problem.Error()
		}
	}), nil
}

// request is a new request.
func (p RADIUS) request() []byte {
	code := byte(radiusStatus)
	if p.User != "" {
		code = radiusRequest
	}
	packet := make([]byte, radiusHeader)
	packet[0] = code
	_, _ = rand.Read(packet[4:]) // never fails
	packet[1] = packet[4]        // one request a socket: any number will do
	// The Message-Authenticator comes first, and is made last.
	packet = append(packet, radiusAuthenticator, 2+md5.Size)
	at := len(packet)
	packet = append(packet, make([]byte, md5.Size)...)
	if p.User != "" {
		packet = radiusAttribute(packet, radiusUserName, []byte(p.User))
		packet = radiusAttribute(packet, radiusUserPassword, hidePassword(p.Password, p.Secret, packet[4:radiusHeader]))
	}
	packet = radiusAttribute(packet, radiusNASIdentifier, []byte(stranger))
	binary.BigEndian.PutUint16(packet[2:], uint16(len(packet)))
	mac := hmac.New(md5.New, []byte(p.Secret.text()))
	mac.Write(packet)
	copy(packet[at:], mac.Sum(nil))
	return packet
}

// radiusAttribute adds an attribute.
func radiusAttribute(packet []byte, kind byte, value []byte) []byte {
	return append(append(packet, kind, byte(2+len(value))), value...)
}

// hidePassword is User-Password (RFC 2865, section 5.2).
func hidePassword(password, secret Secret, authenticator []byte) []byte {
	text := password.text()
	padded := append([]byte(text), make([]byte, md5.Size)...)
	padded = padded[:max(len(text)+md5.Size-1, md5.Size)/md5.Size*md5.Size]
	var hidden []byte
	previous := authenticator
	for ; len(padded) > 0; padded = padded[md5.Size:] {
		mask := md5.Sum(append([]byte(secret.text()), previous...))
		previous = xor(padded[:md5.Size], mask[:])
		hidden = append(hidden, previous...)
	}
	return hidden
}

// radiusReply is a reply that is signed with the secret.
type radiusReply struct {
	code    byte
	message string // Reply-Message
}

// parseRADIUS reads a reply to a request, or says why it must be ignored.
func parseRADIUS(packet, request []byte, secret string) (radiusReply, error) {
	if len(packet) < radiusHeader {
		return radiusReply{}, errors.New("a packet came that is no RADIUS")
	}
	length := int(binary.BigEndian.Uint16(packet[2:]))
	switch {
	case length < radiusHeader || length > len(packet):
		return radiusReply{}, errors.New("a packet came that is no RADIUS")
	case packet[1] != request[1]:
		return radiusReply{}, errors.New("a reply came to another request")
	}
	packet = packet[:length]
	signed := bytes.Clone(packet)
	copy(signed[4:radiusHeader], request[4:radiusHeader])
	if sum := md5.Sum(append(signed[:length:length], secret...)); !hmac.Equal(sum[:], packet[4:radiusHeader]) {
		return radiusReply{}, errors.New("a reply came that is not signed with the secret")
	}
	reply := radiusReply{code: packet[0]}
	for at := radiusHeader; at < length; {
		if at+2 > length || packet[at+1] < 2 || at+int(packet[at+1]) > length {
			return radiusReply{}, errors.New("a reply came with a damaged attribute")
		}
		next := at + int(packet[at+1])
		value := packet[at+2 : next]
		switch packet[at] {
		case radiusReplyMessage:
			reply.message += string(value)
		case radiusAuthenticator:
			if !radiusAuthentic(signed, at+2, value, secret) {
				return radiusReply{}, errors.New("a reply came that is not signed with the secret")
			}
		}
		at = next
	}
	return reply, nil
}

// radiusAuthentic verifies the Message-Authenticator at a place in a reply with
// the authenticator of its request (RFC 3579, section 3.2).
func radiusAuthentic(reply []byte, at int, value []byte, secret string) bool {
	if len(value) != md5.Size {
		return false
	}
	blank := bytes.Clone(reply)
	copy(blank[at:], make([]byte, md5.Size))
	mac := hmac.New(md5.New, []byte(secret))
	mac.Write(blank)
	return hmac.Equal(mac.Sum(nil), value)
}

// judge returns nil if the reply is the one that is wanted.
func (p RADIUS) judge(reply radiusReply) error {
	if reply.code == radiusAccept || p.User == "" && reply.code == radiusAccounting {
		return nil
	}
	name := fmt.Sprintf("code %d", reply.code)
	switch reply.code {
	case radiusReject:
		name = "Access-Reject"
	case radiusChallenge:
		name = "Access-Challenge"
	}
	if reply.message != "" {
		name += fmt.Sprintf(" %q", printable(p.Password.hideIn(p.Secret.hideIn(reply.message))))
	}
	return fmt.Errorf("RADIUS %s, wanted Access-Accept", name)
}
