//go:build ipvs

package daemon

import (
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"bascule/lvs"
)

// sending is a director that balances over a real server on itself, and tells
// its connections.
const sending = `
nodes = ["lb"]
[group.web]
priority = 200
advertisement_interval = "100ms"
[group.web.router.public]
interface = "sync"
vrid = 9
addresses = ["10.8.0.9/24"]
[virtual_server.www]
address = "10.8.0.9:80"
protocol = "tcp"
scheduler = "rr"
forwarding = "masquerade"
[[virtual_server.www.real_server]]
address = "10.8.0.1:8080"
[connection_sync]
group = "web"
interface = "sync"
id = 1
`

// TestStopTellsConnections: an ordered stop tells the connections that fill a
// packet, though they came just before it, and leaves the sender its time for
// that.
func TestStopTellsConnections(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	const made, inPacket = 480, 45 // a packet has room for fewer than that many
	runtime.LockOSThread()         // the thread ends with the test
	home, err := netns.Get()
	must(t, err)
	defer home.Close()
	output(t, "ip", "link", "set", "lo", "up")
	second := newPeer(t)
	must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "sync"}, PeerName: "sync", PeerNamespace: netlink.NsFd(int(home))}))
	output(t, "ip", "address", "add", "10.8.0.2/24", "dev", "sync")
	output(t, "ip", "link", "set", "sync", "up")
	must(t, netns.Set(home))
	output(t, "ip", "address", "add", "10.8.0.1/24", "dev", "sync")
	output(t, "ip", "link", "set", "sync", "up")
	discard(t, "10.8.0.1:8080")
	second.has(t, lvs.SyncReceiver)
	r := start(t, t.TempDir(), sending)
	eventually(t, "sending", func() bool { return strings.Contains(output(t, "ipvsadm", "-L", "--daemon"), "master") })
	eventually(t, "a virtual server", func() bool { return strings.Contains(output(t, "ipvsadm", "-Ln"), "10.8.0.1:8080") })
	conns := make([]net.Conn, made)
	for i := range conns {
		eventually(t, "a connection", func() bool {
			conns[i], err = net.Dial("tcp", "10.8.0.9:80")
			return err == nil
		})
		defer conns[i].Close()
	}
	for _, conn := range conns { // the kernel tells of a connection from the third packet on
		_, err := conn.Write([]byte("x"))
		must(t, err)
	}
	begin := time.Now()
	r.stop()
	must(t, <-r.ended)
	if took := time.Since(begin); took < senderStays {
		t.Errorf("stopped after %v, and the sender with it: it is to stay for %v", took, senderStays)
	}
	second.enter(t)
	known := func() int { return strings.Count(output(t, "ipvsadm", "-Lnc"), "10.8.0.9:80") }
	eventually(t, fmt.Sprintf("%d connections but those of a packet", made), func() bool {
		return known() > made-inPacket
	})
}
