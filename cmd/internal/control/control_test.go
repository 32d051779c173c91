package control

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fakeService is a daemon with a fixed state.
type fakeService struct {
	status Status
	result ReloadResult
	err    error
}

// Status returns the fixed state.
func (f *fakeService) Status() Status { return f.status }

// Reload returns the fixed result.
func (f *fakeService) Reload(context.Context) (ReloadResult, error) { return f.result, f.err }

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
	return Status{
		Node: "lb", Version: "1.0",
		Groups: []Group{{
			Name: "web", State: "active", Since: now.Add(-125 * time.Second), Reason: "no advertisement heard", Priority: 150,
			Faults: []string{},
			Routers: []Router{{
				Name: "public", Interface: "enp0s3", VRID: 56, Family: "ipv4", State: "active",
				Addresses: []string{"192.168.56.10/24"}, ActiveSource: "192.168.56.11", ActivePriority: 150,
				Counters: Counters{Sent: 9, Dropped: map[string]uint64{"ttl": 1}},
			}},
		}, {
			Name: "mail", State: "initialize", Since: now, Reason: "starting", Priority: 100,
			Faults:  []string{"public: link down on enp0s9"},
			Routers: []Router{{Name: "public", Interface: "enp0s9", VRID: 9, State: "initialize", Addresses: []string{"10.0.0.1/24"}}},
		}, {
			Name: "dns", State: "backup", Since: now.Add(-50 * time.Hour), Reason: "interfaces ready", Priority: 100, Faults: []string{},
			Routers: []Router{{Name: "a", Interface: "enp0s8", VRID: 7, State: "backup", Addresses: []string{"10.0.1.1/24"},
				ActiveSource: "10.0.1.2", ActivePriority: 200}},
		}},
		VirtualServers: []VirtualServer{{
			Name: "www", Address: "192.168.56.10:80", Protocol: "tcp", Scheduler: "wrr", Forwarding: "masquerade",
			RealServers: []RealServer{
				{Address: "192.168.200.11:80", Weight: 3, Member: true, Healthy: true, Health: "healthy"},
				{Address: "192.168.200.12:80", Weight: 1, Health: "unhealthy", Reason: "connection refused"},
			},
		}},
		Problems: []string{"web.gateway: link down"},
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

GROUP  STATE       FOR    PRIORITY  REASON
web    active      2m 5s  150       no advertisement heard
mail   initialize  0s     100       public: link down on enp0s9
dns    backup      2d 2h  100       interfaces ready

ROUTER       INTERFACE  VRID  ADDRESSES         ACTIVE DIRECTOR
web.public   enp0s3     56    192.168.56.10/24  192.168.56.11 (this node)
mail.public  enp0s9     9     10.0.0.1/24       unknown
dns.a        enp0s8     7     10.0.1.1/24       10.0.1.2 priority 200

VIRTUAL SERVER  www  tcp 192.168.56.10:80  wrr  masquerade
  REAL SERVER        WEIGHT  MEMBER  HEALTH     REASON
  192.168.200.11:80  3       yes     healthy
  192.168.200.12:80  1       no      unhealthy  connection refused
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
