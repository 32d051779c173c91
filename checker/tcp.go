package checker

import (
	"context"
	"net"
	"net/netip"
	"time"
)

// tcpChecker succeeds when a TCP connection can be made.
type tcpChecker struct {
	target  netip.AddrPort
	timeout time.Duration // of a whole probe, for the words of the error
}

// Check connects and closes at once.
func (c *tcpChecker) Check(ctx context.Context) error {
	conn, err := dial(ctx, c.target)
	if err != nil {
		return describe(ctx, err, c.timeout)
	}
	_ = conn.Close() // nothing was written that could be lost
	return nil
}

// dial connects to a target. Close resets the connection instead of leaving
// it in TIME_WAIT, where thousands of probes a second would use up the local
// ports.
func dial(ctx context.Context, target netip.AddrPort) (net.Conn, error) {
	dialer := net.Dialer{KeepAlive: -1} // a probe is too short for keep-alives
	conn, err := dialer.DialTCP(ctx, "tcp", netip.AddrPort{}, target)
	if err != nil {
		return nil, err
	}
	if err := conn.SetLinger(0); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}
