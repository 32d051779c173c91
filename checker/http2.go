package checker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"golang.org/x/net/http2"
)

// maxHTTP2Window is how much of a body a server may send before it is read.
// HTTP/2 allows no less for a connection.
const maxHTTP2Window = 64 << 10

// The linter is told to leave the older interface to HTTP/2 alone: what is to
// replace it, in net/http, dials itself, and its errors have no types to tell
// the reasons by.

// http2Transport is what connections of HTTP/2 have in common. It makes none
// itself, and keeps none.
var http2Transport = newHTTP2Transport()

// newHTTP2Transport returns a transport that takes as little as possible from
// a server.
//
//nolint:staticcheck // see above
func newHTTP2Transport() *http2.Transport {
	transport, err := http2.ConfigureTransports(&http.Transport{
		DisableCompression: true, // the body is matched as it is
		HTTP2: &http.HTTP2Config{
			MaxReceiveBufferPerConnection: maxHTTP2Window,
			MaxReceiveBufferPerStream:     maxHTTP2Window,
		},
	})
	if err != nil {
		panic(err) // it is the same for every transport
	}
	transport.MaxHeaderListSize = maxHeader
	return transport
}

// http2Conn is a connection of HTTP/2 that stays open until its session is
// closed: what the server has sent last is yet to be read after a failed write.
type http2Conn struct{ tap }

// Close does nothing.
func (*http2Conn) Close() error { return nil }

// roundTrip sends a request in HTTP/2, without asking whether the server
// speaks it. The body of the reply ends with the connection.
func (s *session) roundTrip(request *http.Request) (*http.Response, error) {
	if s.tls != nil {
		if err := s.tls.wantProtocol(); err != nil {
			return nil, err
		}
	}
	below := &http2Conn{tap{Conn: s.Conn}}
	conn, err := http2Transport.NewClientConn(below) //nolint:staticcheck // see above
	if err != nil {
		return nil, http2Error(err, &below.tap)
	}
	reply, err := conn.RoundTrip(request)
	if err != nil {
		return nil, http2Error(err, &below.tap)
	}
	return reply, nil
}

// exchange2 sends the request in HTTP/2 and returns the verdict on the reply.
func (c *httpChecker) exchange2(ctx context.Context, s *session) error {
	reply, err := s.roundTrip(c.request.WithContext(ctx)) //nolint:bodyclose // the connection is closed instead
	if err != nil {
		return err
	}
	return c.judge(reply.StatusCode, reply.Body)
}

// http2Error puts the reason why there is no reply into words. What the server
// has sent first tells whether it speaks HTTP/2: then it is SETTINGS.
func http2Error(err error, from *tap) error {
	const typeAt, settings = 3, 4 // where a frame has its type, and which one it must be
	head, ended := from.text(), from.ended()
	if isAlert(ended) || strings.HasSuffix(err.Error(), "client conn could not be established") && ended != nil {
		err = ended // what the library makes of it depends on what it was doing
	}
	switch {
	case isAlert(err), ofNetwork(err), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return err
	case len(head) > typeAt && head[typeAt] != settings:
		return fmt.Errorf("not HTTP/2: %s", printed(head))
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("connection closed before a whole HTTP header")
	}
	return http2ProtocolError(err)
}

// http2ProtocolError puts an error of HTTP/2 itself into words.
//
//nolint:staticcheck // see http2Transport
func http2ProtocolError(err error) error {
	const goAway = "http2: Transport received GOAWAY from server ErrCode:"
	var (
		reset  http2.StreamError
		broken http2.ConnectionError
		away   http2.GoAwayError
	)
	switch {
	case strings.Contains(err.Error(), "response header list larger"):
		return fmt.Errorf("HTTP header over %d KiB", maxHeader>>10)
	case errors.As(err, &away):
		return fmt.Errorf("HTTP/2 GOAWAY %s %s", away.ErrCode, printed(away.DebugData))
	case strings.HasPrefix(err.Error(), goAway):
		return fmt.Errorf("HTTP/2 GOAWAY %s", strings.TrimPrefix(err.Error(), goAway))
	case errors.As(err, &reset) && reset.Cause != nil && !strings.Contains(reset.Cause.Error(), "received from peer"):
		return fmt.Errorf("HTTP/2 reply malformed: %s", printed(reset.Cause.Error()))
	case errors.As(err, &reset):
		return fmt.Errorf("HTTP/2 stream reset: %s", reset.Code)
	case errors.As(err, &broken):
		return fmt.Errorf("HTTP/2 broken by the server: %s", http2.ErrCode(broken))
	}
	return fmt.Errorf("HTTP/2 without a reply: %s", printed(err.Error()))
}
