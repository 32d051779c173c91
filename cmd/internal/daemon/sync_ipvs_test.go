//go:build ipvs

package daemon

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"bascule/cmd/internal/config"
	"bascule/lvs"
	"bascule/lvs/director"
	"bascule/lvs/ipvs"
	"bascule/vrrp"
)

// output runs a program in the namespace of the thread.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
	return string(out)
}

// peer is a director in a network namespace of its own, without election and
// checks.
type peer struct {
	ns netns.NsHandle
	*director.Director
	*follower
}

// enter moves the thread into the namespace.
func (p *peer) enter(t *testing.T) {
	t.Helper()
	must(t, netns.Set(p.ns))
}

// newPeer returns a director that balances over one real server, on this
// thread in its namespace.
func newPeer(t *testing.T) *peer {
	t.Helper()
	ns, err := netns.New()
	must(t, err)
	t.Cleanup(func() { ns.Close() })
	output(t, "ip", "link", "set", "lo", "up")
	dial := func() (director.Kernel, error) { return ipvs.OpenAt(fmt.Sprintf("/proc/self/fd/%d", int(ns))) }
	p := &peer{ns: ns, Director: director.New(dial, slog.New(slog.NewTextHandler(t.Output(), nil)))}
	p.follower = newFollower(p.Follow, func(string) int { return 0 })
	p.Configure([]lvs.VirtualServerConfig{{
		Name: "www", Services: []lvs.Service{{ServiceKey: service80("10.8.0.9"), Scheduler: "rr"}},
		RealServers: []lvs.RealServerConfig{{Address: netip.MustParseAddrPort("10.8.0.1:8080"), Weight: 1}},
	}}, nil)
	p.configure(&config.Sync{Group: "web", Daemon: lvs.SyncDaemon{Interface: "sync", ID: 1}}, []string{"web"})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		must(t, <-ended)
	})
	return p
}

// has waits until the kernel has the sync daemons of these roles, and no other.
func (p *peer) has(t *testing.T, want ...lvs.SyncRole) {
	t.Helper()
	eventually(t, fmt.Sprintf("sync daemons %v", want), func() bool {
		got := p.Snapshot().Daemons
		for _, role := range want {
			if _, found := got[role]; !found {
				return false
			}
		}
		return len(got) == len(want)
	})
}

// discard listens at an address until the test ends, and reads whatever comes.
func discard(t *testing.T, address string) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	must(t, err)
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(io.Discard, conn) }()
		}
	}()
}

// TestConnectionsChangeHands: a connection that was made just before the active
// director yields is known to the next one.
func TestConnectionsChangeHands(t *testing.T) {
	runtime.LockOSThread() // the thread ends with the test
	first := newPeer(t)
	second := newPeer(t)
	must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "sync"}, PeerName: "sync", PeerNamespace: netlink.NsFd(int(first.ns))}))
	for i, p := range []*peer{second, first} {
		p.enter(t)
		output(t, "ip", "address", "add", fmt.Sprintf("10.8.0.%d/24", 2-i), "dev", "sync")
		output(t, "ip", "address", "add", "10.8.0.9/32", "dev", "lo")
		output(t, "ip", "link", "set", "sync", "up")
	}
	discard(t, "10.8.0.1:8080")
	first.moved("web", vrrp.Active)
	first.has(t, lvs.SyncSender)
	second.has(t, lvs.SyncReceiver)

	conn, err := net.Dial("tcp", "10.8.0.9:80")
	must(t, err)
	defer conn.Close()
	for range 3 { // the kernel tells of a connection from the third packet on
		_, err = conn.Write([]byte("x"))
		must(t, err)
	}
	first.moved("web", vrrp.Backup)
	second.moved("web", vrrp.Active)
	client := conn.LocalAddr().String()
	if table := output(t, "ipvsadm", "-Lnc"); !strings.Contains(table, client) {
		t.Fatalf("no connection of %s:\n%s", client, table)
	}
	second.enter(t)
	eventually(t, "the connection of "+client, func() bool {
		return strings.Contains(output(t, "ipvsadm", "-Lnc"), client)
	})
	first.has(t, lvs.SyncReceiver)
	second.has(t, lvs.SyncSender)
}

// joined says whether something receives the multicast group of the sync
// daemons on an interface.
func joined(t *testing.T, iface string) bool {
	t.Helper()
	return strings.Contains(output(t, "ip", "maddress", "show", "dev", iface), "224.0.0.81")
}

// TestSyncInterface: a director with a fault receives connections, and does so
// again when the interface has been deleted and made again.
func TestSyncInterface(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	cable(t)
	must(t, netlink.LinkAdd(&netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: "v7"}})) // which is down
	r := start(t, t.TempDir(), strings.Replace(fmt.Sprintf(configuration, `"10.9.0.100/24"`), `"v0"`, `"v7"`, 1)+
		"[connection_sync]\ngroup = \"web\"\ninterface = \"v0\"\n")
	eventually(t, "receiving", func() bool { return joined(t, "v0") })
	link, err := netlink.LinkByName("v0")
	must(t, err)
	must(t, netlink.LinkDel(link))
	cable(t)
	eventually(t, "receiving again", func() bool { return joined(t, "v0") })
	r.stop()
	must(t, <-r.ended)
	if left := output(t, "ipvsadm", "-L", "--daemon"); strings.Contains(left, "sync") {
		t.Errorf("left behind: %s", left)
	}
}

// TestSyncAfterCrash: who is started without synchronization stops the sync
// daemon that its predecessor had started before it crashed, and not that of
// another program.
func TestSyncAfterCrash(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	cable(t)
	dir := t.TempDir()
	lone := fmt.Sprintf(configuration, `"10.9.0.100/24"`)
	node := &config.Node{Sync: &config.Sync{Group: "web", Daemon: lvs.SyncDaemon{Interface: "v0", ID: 3}}}
	must(t, newRecord(node).write(dir))
	output(t, "ipvsadm", "--start-daemon", "master", "--mcast-interface", "v0", "--syncid", "3")
	output(t, "ipvsadm", "--start-daemon", "backup", "--mcast-interface", "v1", "--syncid", "3")
	r := start(t, dir, lone)
	daemons := func() string { return output(t, "ipvsadm", "-L", "--daemon") }
	eventually(t, "the end of the sender", func() bool { return !strings.Contains(daemons(), "master") })
	eventually(t, "a narrower record", func() bool {
		kept, err := readRecord(dir)
		return err == nil && len(kept.Sync) == 0
	})
	r.stop()
	must(t, <-r.ended)
	if left := daemons(); !strings.Contains(left, "backup sync daemon (mcast=v1, syncid=3") {
		t.Errorf("the receiver of another program is gone: %q", left)
	}
}
