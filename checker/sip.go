package checker

import (
	"crypto/rand"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// SIP succeeds when a server answers OPTIONS with an accepted status.
type SIP struct {
	Network    string     // "udp" or "tcp"
	Encryption Encryption // "tls", over TCP
	TLS        TLSOptions // of the encryption
	URI        string     // whom to ask, "sip:host" or "sip:user@host"; empty: the target
	Status     string     // accepted status codes, as for HTTP; empty: 200
}

// Kind returns "sip".
func (SIP) Kind() string { return "sip" }

// Validate says what is wrong with the parameters.
func (p SIP) Validate() error {
	if p.Network != "udp" && p.Network != "tcp" {
		return fmt.Errorf("network %q is not possible: \"udp\" or \"tcp\"", p.Network)
	}
	if err := p.Encryption.validateOver(p.TLS, p.Network, TLSFirst); err != nil {
		return err
	}
	scheme, rest, _ := strings.Cut(p.URI, ":")
	if p.URI != "" && (scheme != "sip" && scheme != "sips" || rest == "" ||
		strings.ContainsFunc(p.URI, unprintable) || strings.ContainsAny(p.URI, `<>"`)) {
		return fmt.Errorf("uri %q is no address of SIP: such as \"sip:ping@example.org\"", p.URI)
	}
	if _, err := ParseStatus(p.status()); err != nil {
		return fmt.Errorf("status %w", err)
	}
	return nil
}

// status is what is accepted.
func (p SIP) status() string {
	if p.Status == "" {
		return "200"
	}
	return p.Status
}

// checker returns the probe of one target.
func (p SIP) checker(to endpoint) (Checker, error) {
	accepts, err := ParseStatus(p.status())
	if err != nil {
		return nil, fmt.Errorf("status %w", err)
	}
	transport := strings.ToUpper(p.Network)
	if p.Encryption == TLSFirst {
		transport = "TLS"
	}
	uri := p.URI
	if uri == "" {
		uri = "sip:" + to.String()
	}
	client, err := p.Encryption.client(to, p.TLS)
	if err != nil {
		return nil, err
	}
	return &dialogue{to: to, network: p.Network, protocol: "SIP", crypt: p.Encryption, client: client, talk: func(s *conversation) error {
		code, line, err := sipOptions(s, transport, uri)
		s.hangUp() // a server may log a reset as an error
		if err == nil && !accepts(code) {
			return fmt.Errorf("%s %s, wanted %s", s.protocol, s.plain(line), p.status())
		}
		return err
	}}, nil
}

// sipOptions asks a server what it can do, and returns the status of its reply.
func sipOptions(s *conversation, transport, uri string) (code int, line string, err error) {
	local, call := s.conn.LocalAddr().String(), rand.Text()
	s.waiting = "SIP reply to OPTIONS"
	err = s.write(strings.Join([]string{
		"OPTIONS " + uri + " SIP/2.0",
		"Via: SIP/2.0/" + transport + " " + local + ";branch=z9hG4bK" + call[:16] + ";rport",
		"Max-Forwards: 70",
		"From: <sip:bascule@" + local + ">;tag=" + call[16:],
		"To: <" + uri + ">",
		"Call-ID: " + call,
		"CSeq: 1 OPTIONS",
		"Contact: <sip:bascule@" + local + ">",
		"Accept: application/sdp",
		"User-Agent: bascule",
		"Content-Length: 0",
	}, "\r\n") + "\r\n\r\n")
	if err != nil {
		return 0, "", err
	}
	for range maxInterim {
		code, line, answered, err := sipReply(s)
		if err != nil {
			return 0, "", err
		}
		if code >= 200 && answered == call { // over UDP a late reply to another probe may come
			return code, line, nil
		}
	}
	return 0, "", fmt.Errorf("more than %d other SIP replies", maxInterim)
}

// sipReply reads a reply and returns its status and whom it answers.
func sipReply(s *conversation) (code int, status, call string, err error) {
	first, err := s.line()
	if err != nil {
		return 0, "", "", err
	}
	status, ok := strings.CutPrefix(first, "SIP/2.0 ")
	digits, _, _ := strings.Cut(status, " ")
	code, wrong := strconv.Atoi(digits)
	if !ok || wrong != nil || len(digits) != 3 || code < 100 {
		return 0, "", "", fmt.Errorf("not SIP: %q", s.plain(first))
	}
	length := 0
	for range maxLines {
		line, err := s.line()
		if err != nil {
			return 0, "", "", err
		}
		if line == "" && s.network == "udp" { // the rest of the datagram is the body
			_, err := s.in.Discard(s.in.Buffered())
			return code, status, call, err
		}
		if line == "" {
			return code, status, call, s.skip(length)
		}
		name, value, _ := strings.Cut(line, ":")
		switch value = strings.TrimSpace(value); strings.ToLower(strings.TrimSpace(name)) {
		case "call-id", "i":
			call = value
		case "content-length", "l":
			length, _ = strconv.Atoi(value)
		}
	}
	return 0, "", "", fmt.Errorf("SIP reply of more than %d lines", maxLines)
}

// skip passes over a body.
func (s *conversation) skip(length int) error {
	if length < 0 || length > maxMessage {
		return fmt.Errorf("%s body of %d bytes, more than %d KiB", s.protocol, length, maxMessage>>10)
	}
	_, err := io.CopyN(io.Discard, s.in, int64(length))
	return err
}
