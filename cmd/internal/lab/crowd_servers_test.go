package lab

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// dialFrom makes one connection from a host and closes it. With a request, it
// returns the status of the answer.
func dialFrom(h *Host, target netip.AddrPort, timeout time.Duration, request string) (status int, err error) {
	err = h.Do(func() error {
		conn, err := (&net.Dialer{Timeout: timeout}).Dial("tcp", target.String())
		if err != nil {
			return err
		}
		defer conn.Close()
		if request == "" {
			return nil
		}
		if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
			return err
		}
		if _, err := conn.Write([]byte(request)); err != nil {
			return err
		}
		reply, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return err
		}
		status = reply.StatusCode
		return reply.Body.Close()
	})
	return status, err
}

// resetFrom begins a connection from a host, and resets it when it is answered.
func resetFrom(h *Host, target netip.AddrPort) error {
	return h.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		return errors.Join(
			unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_QUICKACK, 0), // to answer later, and so never
			unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}),
			unix.Connect(fd, &unix.SockaddrInet4{Addr: target.Addr().As4(), Port: int(target.Port())}),
			unix.Close(fd),
		)
	})
}

// TestCrowdServers connects to the first and the last real server of a crowd,
// and to some that have died.
func TestCrowdServers(t *testing.T) {
	t.Parallel()
	const long = 20 * time.Second
	crowd := Crowd{Services: 100, Servers: 50}
	for _, c := range []struct {
		kind    CheckKind
		request string
		status  int
	}{{CheckTCP, "", 0}, {CheckHTTP, "GET / HTTP/1.0\r\n\r\n", http.StatusOK}} {
		t.Run(string(c.kind), func(t *testing.T) {
			t.Parallel()
			l := NewT(t)
			servers, err := l.StartCrowdServers(c.kind)
			if err != nil {
				t.Fatal(err)
			}
			list := crowd.List()
			first, second, third, last := list[0].Servers[0].Address, list[0].Servers[1].Address, list[0].Servers[2].Address, list[99].Servers[49].Address
			for _, address := range []netip.AddrPort{first, second, third, last} {
				if status, err := dialFrom(l.LB, address, long, c.request); err != nil || status != c.status {
					t.Errorf("%v: status %d, %v, want %d", address, status, err, c.status)
				}
			}
			if err := errors.Join(servers.Kill(second.Addr(), Refuse), servers.Kill(third.Addr(), Silence)); err != nil {
				t.Fatal(err)
			}
			if _, err := dialFrom(l.LB, second, long, ""); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("one that refuses: %v", err)
			}
			var silent net.Error
			if _, err := dialFrom(l.LB, third, 200*time.Millisecond, ""); !errors.As(err, &silent) || !silent.Timeout() {
				t.Errorf("one that is silent: %v", err)
			}
			if status, err := dialFrom(l.LB, first, long, c.request); err != nil || status != c.status {
				t.Errorf("one beside them: status %d, %v, want %d", status, err, c.status)
			}
			want := int64(5)
			if c.request == "" {
				want++
				if err := resetFrom(l.LB, first); err != nil {
					t.Error(err)
				}
			}
			ctx := deadline(t)
			for {
				completed, err := servers.Completed()
				if err != nil {
					t.Fatal(err)
				}
				if completed == want {
					break
				}
				select {
				case <-ctx.Done():
					t.Fatalf("%d checks are completed, want %d", completed, want)
				case <-time.After(holderInterval):
				}
			}
		})
	}
}

// TestCrowdCheck looks at the checks of a crowd.
func TestCrowdCheck(t *testing.T) {
	t.Parallel()
	for check, want := range map[CheckKind]CheckKind{"": CheckNone, CheckTCP: CheckTCP, CheckHTTP: CheckHTTP} {
		list := Crowd{Services: 2, Servers: 2, Check: check}.List()
		if slices.ContainsFunc(list, func(s Service) bool { return s.Check != want }) {
			t.Errorf("check %q: %v", check, list)
		}
	}
}
