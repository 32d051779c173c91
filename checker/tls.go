package checker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// TLS succeeds when a TLS handshake does.
type TLS struct {
	Options TLSOptions
	ALPN    string // the protocols to offer, such as "h2,http/1.1", of which the server must choose one; empty: none
}

// Kind returns "tls".
func (TLS) Kind() string { return "tls" }

// Validate says what is wrong with the parameters, beginning with the name of
// the parameter.
func (t TLS) Validate() error {
	for _, name := range t.protocols() {
		if name == "" || len(name) > 255 || strings.ContainsFunc(name, unprintable) {
			return fmt.Errorf("alpn %q is no list of protocols, such as \"h2,http/1.1\"", t.ALPN)
		}
	}
	return t.Options.Validate()
}

// protocols returns the protocols to offer.
func (t TLS) protocols() []string {
	if t.ALPN == "" {
		return nil
	}
	return strings.Split(t.ALPN, ",")
}

// checker returns the probe of one target.
func (t TLS) checker(to endpoint) (Checker, error) {
	client, err := t.Options.client(to.Addr().String(), t.protocols()...)
	if err != nil {
		return nil, err
	}
	return &tlsChecker{to, client}, nil
}

// tlsChecker is the probe of one target.
type tlsChecker struct {
	target endpoint
	client *tlsClient
}

// Check makes one handshake on a connection of its own.
func (c *tlsChecker) Check(ctx context.Context) (Advice, error) {
	return checkWithin(ctx, c)
}

// checkBy implements timely.
func (c *tlsChecker) checkBy(ctx context.Context, deadline time.Time) (Advice, error) {
	s, err := c.target.open(ctx, deadline, c.client)
	if err != nil {
		return Advice{}, err
	}
	defer s.close()
	if err := s.tls.wantProtocol(); err != nil {
		return Advice{}, err
	}
	if err := s.tls.accepted(); err != nil {
		return Advice{}, s.explain(ctx, err)
	}
	return s.advice(), nil
}

// wantProtocol demands that the server has chosen one of the protocols that
// it was offered. A server that knows nothing of ALPN chooses none.
func (s *tlsSession) wantProtocol() error {
	offered := s.client.alpn
	if len(offered) == 0 || slices.Contains(offered, s.ConnectionState().NegotiatedProtocol) {
		return nil
	}
	return fmt.Errorf("TLS: server chose no protocol by ALPN, wanted %s", strings.Join(offered, " or "))
}

// accepted waits for the verdict of a server on the client certificate that
// it has asked for. With TLS 1.3 the handshake ends before that, and only a
// refusal is ever told: as long as it might come, silence is no consent.
func (s *tlsSession) accepted() error {
	if !s.asked || s.ConnectionState().Version < tls.VersionTLS13 {
		return nil
	}
	// A server that is content answers the end of what is sent to it with the
	// end of what it sends, or with its greeting.
	if err := s.CloseWrite(); err != nil {
		return err
	}
	_, err := s.Read(make([]byte, 1))
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
