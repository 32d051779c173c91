//go:build ipvs

package mark

import (
	"net"
	"strings"
	"testing"

	"bascule/lvs"
)

// TestLocalClient has a client on this machine use a virtual server by mark,
// whose address is elsewhere: only in the hook output does IPVS see that.
func TestLocalClient(t *testing.T) {
	enterNamespace(t)
	run(t, "ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth1")
	run(t, "ip", "link", "set", "eth0", "up")
	run(t, "ip", "link", "set", "eth1", "up")
	run(t, "ip", "address", "add", "192.0.2.1/24", "dev", "eth0")
	run(t, "ip", "route", "add", "198.51.100.0/24", "via", "192.0.2.2")
	must(t, Apply([]Rule{rule(7, lvs.UDP, "198.51.100.1", "198.51.100.1", 53, 53)}))
	run(t, "ipvsadm", "-A", "-f", "7", "-s", "rr")
	run(t, "ipvsadm", "-a", "-f", "7", "-r", "192.0.2.11", "-m")
	conn, err := net.Dial("udp", "198.51.100.1:53")
	must(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte("x"))
	must(t, err)
	// The numbers of the service would be up to two seconds old.
	if out := run(t, "ipvsadm", "-Lnc"); !strings.Contains(out, " 198.51.100.1:53 ") || !strings.Contains(out, " 192.0.2.11:53\n") {
		t.Errorf("ipvsadm prints\n%s\nwant a connection to 198.51.100.1:53 by 192.0.2.11:53", out)
	}
}
