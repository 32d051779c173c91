package control

import (
	"context"
	"errors"
	"iter"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fakeService is a daemon with a fixed state.
type fakeService struct {
	status Status
	result ReloadResult
	asked  OverrideRequest
	zero   ZeroRequest
	checks []Check
	match  ChecksRequest
	err    error
}

// Status returns the fixed state.
func (f *fakeService) Status() Status { return f.status }

// Checks returns the fixed checks, and remembers the request.
func (f *fakeService) Checks(request ChecksRequest) iter.Seq[Check] {
	f.match = request
	return slices.Values(f.checks)
}

// Reload returns the fixed result.
func (f *fakeService) Reload(context.Context) (ReloadResult, error) { return f.result, f.err }

// Override remembers the request.
func (f *fakeService) Override(_ context.Context, request OverrideRequest) error {
	f.asked = request
	return f.err
}

// Zero remembers the request.
func (f *fakeService) Zero(_ context.Context, request ZeroRequest) error {
	f.zero = request
	return f.err
}

// serve runs a server in a directory of its own until the test ends.
func serve(t *testing.T, s Service) (dir string) {
	t.Helper()
	dir = t.TempDir()
	server, err := Listen(t.Context(), dir, s)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(SocketPath(dir)); !os.IsNotExist(err) {
			t.Errorf("the socket is left behind: %v", err)
		}
	})
	return dir
}

// example is a status with something of everything.
func example(now time.Time) Status {
	later := now.Add(7 * time.Second)
	return Status{
		Node: "lb", Version: "1.0",
		Groups: []Group{{
			Name: "web", State: "active", Since: now.Add(-125 * time.Second), Reason: "no advertisement heard", Priority: 150,
			Faults: []string{}, Waiting: []string{},
			Routers: []Router{{
				Name: "public", Interface: "enp0s3", VRID: 56, Family: "ipv4", Version: 3, Checksum: "pseudo-header", State: "active",
				Addresses: []string{"192.168.56.10/24"}, ActiveSource: "192.168.56.11", ActivePriority: 150,
				Counters: Counters{Sent: 9, Dropped: map[string]uint64{"ttl": 1, "replay": 2, "initialize": 7}},
			}, {
				Name: "six", Interface: "enp0s3", VRID: 56, Family: "ipv6", Version: 3, State: "active",
				Unicast:        &Unicast{Source: "fe80::11", Peers: []UnicastPeer{{Address: "fe80::12"}, {Address: "2001:db8::13", Routed: true}}},
				Authentication: &Authentication{Mode: "permissive", ActiveKey: 2, Keys: []int{1, 2}, Window: "5s"},
				Addresses:      []string{"fe80::10/64", "2001:db8::10/64"}, ActiveSource: "fe80::11", ActivePriority: 150,
			}},
		}, {
			Name: "mail", State: "initialize", Since: now, Reason: "starting", Priority: 100,
			Faults: []string{"public: link down on enp0s9"}, Waiting: []string{"six: waiting for a usable link-local address on enp0s8"},
			Routers: []Router{{Name: "public", Interface: "enp0s9", VRID: 9, Version: 2, Password: true, State: "initialize", Addresses: []string{"10.0.0.1/24"}}},
		}, {
			Name: "news", State: "initialize", Since: now.Add(-3 * time.Second), Reason: "waiting for the start-up delay", Priority: 100,
			Faults: []string{}, Waiting: []string{"start-up delay"}, StartAt: &later,
			Routers: []Router{{Name: "public", Interface: "enp0s8", VRID: 8, Version: 3, State: "initialize", Addresses: []string{"10.0.0.2/24"},
				Authentication: &Authentication{Mode: "receive-only", ActiveKey: 1, Keys: []int{1}, Window: "0s"}}},
		}, {
			Name: "dns", State: "backup", Since: now.Add(-50 * time.Hour), Reason: "interfaces ready", Priority: 100,
			Faults: []string{}, Waiting: []string{},
			Routers: []Router{{Name: "a", Interface: "enp0s8", VRID: 7, Version: 3, State: "backup", Addresses: []string{"10.0.1.1/24"},
				ActiveSource: "10.0.1.2", ActivePriority: 200}},
		}, {
			Name: "grown", State: "backup", Since: now.Add(-time.Hour), Reason: "interfaces ready", Priority: 100,
			Faults: []string{}, Waiting: []string{"new: not yet known on enp0s10"}, Routers: []Router{},
		}},
		Dropped: map[string]uint64{"vrid": 12, "length": 1},
		VirtualServers: []VirtualServer{{
			Name: "www", Address: "192.168.56.10:80", Protocol: "tcp", Services: []string{"tcp 192.168.56.10:80"},
			Scheduler: "wrr", Forwarding: "masquerade",
			RealServers: []RealServer{
				{Address: "192.168.200.11:80", Weight: 3, EffectiveWeight: 3, Member: true, Healthy: true, Health: "healthy", State: "member",
					Connections: Connections{Active: 12, Inactive: 3, Total: 4096}, Traffic: Traffic{BytesIn: 12345, BytesOut: 9876543210}},
				{Address: "192.168.200.12:80", Weight: 1, Health: "unhealthy", State: "out", Reason: "connection refused"},
			},
			Sorry: []RealServer{},
		}, {
			Name: "ftp", Services: []string{"tcp 192.168.56.20:21", "tcp 192.168.56.21:21", "tcp 192.168.56.22:21", "tcp 192.168.56.23:21"},
			Scheduler: "wlc", Forwarding: "direct, tunnel", Persistence: "5m0s",
			Quorum: &Quorum{State: "lost", Needed: 5, Reason: "3 of 5"},
			RealServers: []RealServer{
				{Address: "192.168.200.11", Weight: 10, EffectiveWeight: 4, Member: true, Healthy: true, Health: "healthy", State: "member",
					Reason: "check passed", WeightReason: "weight 80 % by its check, slow start", Until: &later},
				{Address: "192.168.200.12", Weight: 10, State: "draining", Health: "healthy", Reason: "drained by the administrator", Until: &now},
			},
			Sorry: []RealServer{{Address: "192.168.200.99", Weight: 1, EffectiveWeight: 1, State: "member", Health: "unchecked", Reason: "quorum lost"}},
		}},
		Problems: []string{"web.gateway: link down"},
		Warnings: []string{"https 192.168.200.11:443: certificate expires 2026-01-02"},
		SyncDaemons: []SyncDaemon{
			{Role: "sender", Interface: "enp0s9", ID: 1, Running: true, Wanted: true},
			{Role: "receiver", Interface: "enp0s10", ID: 7, Running: true},
			{Role: "receiver", Interface: "enp0s9", ID: 1, Wanted: true},
		},
		Timeouts: &Timeouts{TCP: Timeout{Found: "15m0s"}, TCPFin: Timeout{Found: "2m0s", Wanted: "2m0s"}, UDP: Timeout{Found: "5m0s", Wanted: "1m0s"}},
	}
}

// TestOverride expects the daemon to be told what was asked, and its reason to
// the letter.
func TestOverride(t *testing.T) {
	f := &fakeService{}
	client := NewClient(serve(t, f))
	defer client.Close()
	want := OverrideRequest{VirtualServer: "www", RealServer: "192.168.200.11:80", Action: "weight", Weight: 7, Reason: "a \"new\" disk"}
	if err := client.Override(t.Context(), want); err != nil || f.asked != want {
		t.Errorf("error %v; asked for %+v, want %+v", err, f.asked, want)
	}
	f.err = errors.New(`virtual server "wwww" is unknown: there are www`)
	if err := client.Override(t.Context(), want); err == nil || err.Error() != f.err.Error() {
		t.Errorf("error %v, want %v", err, f.err)
	}
}

// TestZero expects the daemon to be told what was asked.
func TestZero(t *testing.T) {
	f := &fakeService{}
	client := NewClient(serve(t, f))
	defer client.Close()
	want := ZeroRequest{VirtualServer: "www"}
	if err := client.Zero(t.Context(), want); err != nil || f.zero != want {
		t.Errorf("error %v; asked for %+v, want %+v", err, f.zero, want)
	}
	f.err = errors.New(`virtual server "wwww" is unknown: there are www`)
	if err := client.Zero(t.Context(), want); err == nil || err.Error() != f.err.Error() {
		t.Errorf("error %v, want %v", err, f.err)
	}
}

// TestSize lists the sizes that people meet.
func TestSize(t *testing.T) {
	for bytes, want := range map[uint64]string{
		0: "0", 999: "999", 1000: "1.0k", 1249: "1.2k", 9949: "9.9k", 9951: "10k", 340_000_000: "340M", 999_600: "1.0M", 999_400: "999k",
		1 << 63: "9.2E", 1<<64 - 1: "18E",
	} {
		if got := Size(bytes); got != want {
			t.Errorf("Size(%d) = %q, want %q", bytes, got, want)
		}
	}
}

// TestStatusOverSocket asks a real server for its status.
func TestStatusOverSocket(t *testing.T) {
	want := example(time.Unix(1700000000, 0).UTC())
	client := NewClient(serve(t, &fakeService{status: want}))
	defer client.Close()
	got, err := client.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
}

// TestReload expects the result, or the daemon's reason to the letter.
func TestReload(t *testing.T) {
	f := &fakeService{result: ReloadResult{Changed: true}}
	client := NewClient(serve(t, f))
	defer client.Close()
	got, err := client.Reload(t.Context())
	if err != nil || !got.Changed {
		t.Errorf("Reload = %v, %v", got, err)
	}
	f.err = errors.New("bascule.toml:3: vrid: 0 is out of range\nbascule.toml:9: …")
	if _, err := client.Reload(t.Context()); err == nil || err.Error() != f.err.Error() {
		t.Errorf("error = %v, want %v", err, f.err)
	}
}

// TestNoDaemon expects a sentence that an administrator can act on.
func TestNoDaemon(t *testing.T) {
	client := NewClient(t.TempDir())
	_, err := client.Status(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no bascule is running with this runtime directory") {
		t.Errorf("error = %v", err)
	}
}

// TestLateAnswer tells an answer that does not come in time from one that cannot be
// read, also when it has begun.
func TestLateAnswer(t *testing.T) {
	for name, begin := range map[string]string{"nothing": "", "the header": "HTTP/1.1 200 OK\r\n\r\n", "a part": "HTTP/1.1 200 OK\r\n\r\n{\"checks\":["} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			listener, err := net.Listen("unix", SocketPath(dir))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = listener.Close() }()
			go func() {
				if conn, err := listener.Accept(); err == nil {
					defer func() { _ = conn.Close() }()
					request := make([]byte, 4096)
					_, _ = conn.Read(request)
					_, _ = conn.Write([]byte(begin))
					_, _ = conn.Read(request) // until the client gives up
				}
			}()
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			_, err = NewClient(dir).Status(ctx)
			want := SocketPath(dir) + ": the daemon did not answer in time, or not in full: it or this machine is busy"
			if err == nil || err.Error() != want {
				t.Errorf("%v, want %s", err, want)
			}
		})
	}
}

// TestListenTwice refuses a second daemon with the same runtime directory.
func TestListenTwice(t *testing.T) {
	dir := serve(t, &fakeService{})
	if _, err := Listen(t.Context(), dir, &fakeService{}); err == nil || !strings.Contains(err.Error(), "another bascule is running") {
		t.Errorf("error = %v", err)
	}
}

// TestListenReplacesStaleSocket starts where a predecessor was killed.
func TestListenReplacesStaleSocket(t *testing.T) {
	dir := t.TempDir()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: SocketPath(dir)})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	server, err := Listen(t.Context(), dir, &fakeService{})
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(SocketPath(dir))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket mode = %v, %v, want 0600", info.Mode(), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := server.Run(ctx); err != nil {
		t.Error(err)
	}
}

// TestWriteTable compares the whole table, as an administrator reads it.
func TestWriteTable(t *testing.T) {
	now := time.Unix(1700000000, 0)
	var b strings.Builder
	if err := WriteTable(&b, example(now), now); err != nil {
		t.Fatal(err)
	}
	want := `lb  bascule 1.0
PROBLEM: web.gateway: link down
WARNING: https 192.168.200.11:443: certificate expires 2026-01-02

GROUP  STATE    FOR    PRIORITY  REASON
web    active   2m 5s  150       no advertisement heard
mail   fault    0s     100       public: link down on enp0s9
news   waiting  3s     100       start-up delay (7s left)
dns    backup   2d 2h  100       interfaces ready
grown  backup   1h 0m  100       new: not yet known on enp0s10

ROUTER       INTERFACE  VRID  VRRP                              ADDRESSES                    ACTIVE DIRECTOR
web.public   enp0s3     56    v3                                192.168.56.10/24             192.168.56.11 (this node)
web.six      enp0s3     56    v3 unicast hmac permissive key 2  fe80::10/64 2001:db8::10/64  fe80::11 (this node)
mail.public  enp0s9     9     v2 password                       10.0.0.1/24                  unknown
news.public  enp0s8     8     v3 hmac receive-only              10.0.0.2/24                  unknown
dns.a        enp0s8     7     v3                                10.0.1.1/24                  10.0.1.2 priority 200

DROPPED BY        REASON AND NUMBER OF ADVERTISEMENTS
web.public        replay 2, ttl 1
(unknown router)  length 1, vrid 12

CONNECTION SYNC  INTERFACE  ID  STATE
sender           enp0s9     1   running
receiver         enp0s10    7   running, not wanted
receiver         enp0s9     1   not running

TIMEOUT  FOUND  WANTED
tcp      15m0s  as the kernel has it
tcp_fin  2m0s   2m0s
udp      5m0s   1m0s

VIRTUAL SERVER  www  tcp 192.168.56.10:80  wrr  masquerade
  REAL SERVER        WEIGHT  STATE   HEALTH     ACTIVE  INACTIVE  TOTAL  IN   OUT   REASON
  192.168.200.11:80  3       member  healthy    12      3         4096   12k  9.9G
  192.168.200.12:80  1       out     unhealthy  0       0         0      0    0     connection refused

VIRTUAL SERVER  ftp  tcp 192.168.56.20:21, tcp 192.168.56.21:21, tcp 192.168.56.22:21 and 1 more  wlc  direct, tunnel  persistent 5m0s
  quorum lost: 3 of 5
  REAL SERVER             WEIGHT   STATE     HEALTH     ACTIVE  INACTIVE  TOTAL  IN  OUT  REASON
  192.168.200.11          4 of 10  member    healthy    0       0         0      0   0    check passed; weight 80 % by its check, slow start (7s left)
  192.168.200.12          0 of 10  draining  healthy    0       0         0      0   0    drained by the administrator
  192.168.200.99 (sorry)  1        member    unchecked  0       0         0      0   0    quorum lost
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

// TestWriteTableEmpty says that nothing is configured rather than nothing.
func TestWriteTableEmpty(t *testing.T) {
	var b strings.Builder
	if err := WriteTable(&b, Status{Node: "lb", Version: "1.0"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "Nothing is configured for this node.") {
		t.Errorf("table = %q", b.String())
	}
}

// TestAge lists the spans that people meet.
func TestAge(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second:                            "0s",
		1900 * time.Millisecond:                 "1s",
		2*time.Hour + 3*time.Minute:             "2h 3m",
		49*time.Hour + 59*time.Minute:           "2d 1h",
		time.Minute:                             "1m 0s",
		59*time.Minute + 59*time.Second:         "59m 59s",
		400 * 24 * time.Hour:                    "400d 0h",
		time.Hour - time.Nanosecond:             "59m 59s",
		24*time.Hour + 23*time.Hour + time.Hour: "2d 0h",
	} {
		if got := Age(d); got != want {
			t.Errorf("Age(%v) = %q, want %q", d, got, want)
		}
	}
}
