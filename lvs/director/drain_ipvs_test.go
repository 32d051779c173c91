//go:build ipvs

package director_test

import (
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"bascule/lvs"
	"bascule/lvs/director"
)

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s did not happen", what)
		}
	}
}

// onKernel returns a director on the kernel, in a network namespace of its own
// with nothing but lo, in which the thread of the test stays.
func onKernel(t *testing.T) *director.Director {
	t.Helper()
	return director.New(dialAt(newNamespace(t)), slog.New(slog.NewTextHandler(t.Output(), nil)))
}

// runOnKernel lets a director run until the test ends.
func runOnKernel(t *testing.T, d *director.Director) {
	t.Helper()
	end := begin(d)
	t.Cleanup(func() {
		if err := end(); err != nil {
			t.Error(err)
		}
	})
}

// TestKernelDrain drains a real server without a limit while a connection goes
// on: it stays until the kernel has forgotten that, and counts until then. The
// counters of it, and of nobody else, are zeroed.
func TestKernelDrain(t *testing.T) {
	d := onKernel(t)
	config := lvs.VirtualServerConfig{Name: "www", Services: []lvs.Service{{ServiceKey: key("127.0.0.9:80"), Scheduler: "rr"}},
		RealServers: []lvs.RealServerConfig{{Address: netipAddress("127.0.0.1:8080"), Weight: 1}}}
	d.Configure([]lvs.VirtualServerConfig{config}, nil)
	runOnKernel(t, d)
	listener, err := net.Listen("tcp", "127.0.0.1:8080")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(io.Discard, conn) }()
		}
	}()
	status := func() (rs lvs.RealServerStatus, usage lvs.Usage) {
		s := d.Snapshot()
		vs := s.VirtualServers[0]
		return vs.RealServers[0], vs.Usage(vs.RealServers[0], s.Usage)
	}
	await(t, "-A -t 127.0.0.9:80 -s rr", "-a -t 127.0.0.9:80 -r 127.0.0.1:8080 -m -w 1")
	conn, err := net.Dial("tcp", "127.0.0.9:80")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "an active connection", func() bool {
		_, usage := status()
		return usage.Active == 1 && usage.Connections == 1
	})
	ipvsadm(t, "-A", "-t", "127.0.0.8:80", "-s", "rr")
	ipvsadm(t, "-a", "-t", "127.0.0.8:80", "-r", "127.0.0.1:8080", "-m")
	if other, err := net.Dial("tcp", "127.0.0.8:80"); err == nil {
		other.Close()
	}
	if err := d.Zero(t.Context(), ""); err != nil {
		t.Error(err)
	}
	eventually(t, "a counter of zero", func() bool {
		_, usage := status()
		return usage.Active == 1 && usage.Connections == 0
	})
	eventually(t, "the count of somebody else's", func() bool {
		return d.Snapshot().Usage[key("127.0.0.8:80")][netipAddress("127.0.0.1:8080")].Connections == 1
	})

	if err := d.Override(t.Context(), "www", netipAddress("127.0.0.1:8080"), lvs.Override{Kind: lvs.Drain}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Second)
	if rs, usage := status(); rs.State != lvs.Draining || usage.Active != 1 {
		t.Errorf("with an active connection: %v, %+v", rs.State, usage)
	}
	if err := conn.(*net.TCPConn).SetLinger(0); err != nil { // a reset is remembered for 10 s
		t.Fatal(err)
	}
	conn.Close()
	eventually(t, "an inactive connection", func() bool {
		_, usage := status()
		return usage.Active == 0 && usage.Inactive == 1
	})
	if rs, _ := status(); rs.State != lvs.Draining {
		t.Errorf("with an inactive connection: %v", rs.State)
	}
	eventually(t, "the end of draining", func() bool {
		rs, _ := status()
		return rs.State == lvs.Out
	})
}
