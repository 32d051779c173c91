package checker

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"
)

// longPast is a deadline that is over.
var longPast = time.Unix(1, 0)

// connection makes a connection over "tcp" or "udp" on which every call
// returns when the context ends. Its end closes it, without waiting for the
// target. The error is that of the probe.
func (e endpoint) connection(ctx context.Context, network string) (conn net.Conn, end func(), err error) {
	conn, err = e.dial(ctx, network)
	if err != nil {
		return nil, nil, describe(ctx, err, e.timeout)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(longPast) })
	return conn, func() {
		stop()
		_ = conn.Close()
	}, nil
}

// session is the connection of one probe, in clear or over TLS. Whatever is
// done on it ends when the probe does.
type session struct {
	net.Conn             // what the probe talks on
	raw      *stream     // the same, below TLS
	tls      *tlsSession // nil in clear
	target   endpoint
}

// open makes a connection to the target, over TLS if a client is given, on which
// everything ends at the deadline, if there is one. The error is that of the probe.
func (e endpoint) open(ctx context.Context, deadline time.Time, client *tlsClient) (*session, error) {
	return insistent(client, func() (*session, error) { return e.openOnce(ctx, deadline, client) })
}

// openOnce makes one connection.
func (e endpoint) openOnce(ctx context.Context, deadline time.Time, client *tlsClient) (*session, error) {
	raw, err := e.connect(ctx, deadline)
	if err != nil {
		return nil, describe(ctx, err, e.timeout)
	}
	s := &session{Conn: raw, raw: raw, target: e}
	if client == nil {
		return s, nil
	}
	if s.tls, err = client.handshake(raw); err != nil {
		s.close()
		return nil, describe(ctx, err, e.timeout)
	}
	s.Conn = s.tls
	return s, nil
}

// close ends the connection, without waiting for the target.
func (s *session) close() { _ = s.raw.Close() }

// explain returns the error of a probe for one that came up on the
// connection.
func (s *session) explain(ctx context.Context, err error) error {
	if s.tls != nil {
		if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
			err = s.lastWords(err)
		}
		if words := s.tls.explainAlert(err); words != nil {
			err = words
		}
	}
	return describe(ctx, err, s.target.timeout)
}

// lastWords returns the alert that a server has sent before it went away, and
// that a failed write has come before; without one, the error of the write.
func (s *session) lastWords(failed error) error {
	if _, err := s.tls.Read(make([]byte, 1)); isAlert(err) {
		return err
	}
	return failed
}

// advice is what is to be said of a target that works.
func (s *session) advice() Advice { return s.tls.advice() }
