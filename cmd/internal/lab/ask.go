package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"
)

// askTimeout is how long a Question waits for its answer.
const askTimeout = 5 * time.Second

// Question is how a client asks a service of Respond for the name of who
// answers.
type Question struct {
	Protocol string // "tcp", "udp" or "sctp"
	Target   netip.AddrPort
	Source   netip.AddrPort // invalid or with port 0: the kernel chooses
	Message  string         // of a datagram; empty: any
}

// Ask asks once and returns the name of the real server that has answered.
func (h *Host) Ask(q Question) (string, error) {
	names, err := h.AskTogether(q)
	if err != nil {
		return "", err
	}
	return names[0], nil
}

// AskTogether asks one question after the other and leaves all connections
// open until the last one is answered. It returns the names of the real
// servers that have answered, in order.
func (h *Host) AskTogether(questions ...Question) ([]string, error) {
	var names []string
	var conns []net.Conn
	defer func() {
		for _, conn := range conns {
			conn.Close()
		}
	}()
	err := h.Do(func() error {
		for i, q := range questions {
			conn, err := q.dial()
			if err != nil {
				return fmt.Errorf("question %d of %d to %s %v: %w", i+1, len(questions), q.Protocol, q.Target, err)
			}
			conns = append(conns, conn)
			name, err := q.ask(conn)
			if err != nil {
				return fmt.Errorf("question %d of %d to %s %v: %w", i+1, len(questions), q.Protocol, q.Target, err)
			}
			names = append(names, name)
		}
		return nil
	})
	return names, err
}

// dial connects by way of the calling thread.
func (q Question) dial() (net.Conn, error) {
	if q.Protocol == "sctp" {
		return dialSCTP(q.Source.Addr(), q.Target)
	}
	dialer := &net.Dialer{Timeout: askTimeout}
	if q.Source.IsValid() {
		dialer.LocalAddr = net.TCPAddrFromAddrPort(q.Source)
		if q.Protocol == "udp" {
			dialer.LocalAddr = net.UDPAddrFromAddrPort(q.Source)
		}
	}
	return dialer.DialContext(context.Background(), q.Protocol, q.Target.String())
}

// ask reads the name from a connection, after a datagram if it is of UDP.
func (q Question) ask(conn net.Conn) (string, error) {
	if err := conn.SetDeadline(time.Now().Add(askTimeout)); err != nil {
		return "", err
	}
	if q.Protocol == "udp" {
		if _, err := conn.Write([]byte(q.Message + "\n")); err != nil {
			return "", err
		}
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return "", err
	}
	name := strings.TrimSpace(line)
	if name == "" {
		return "", errors.New("an answer without a name")
	}
	return name, nil
}
