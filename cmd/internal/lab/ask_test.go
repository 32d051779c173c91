package lab

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// TestAskDirect asks the hosts of direct routing by their own addresses, in
// both families, from two addresses of the client. Nobody answers for the
// virtual address: they have it, and must not say so.
func TestAskDirect(t *testing.T) {
	t.Parallel()
	l := NewT(t)
	direct, err := l.AddDirect()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]*Host{l.Host("direct1"), l.Host("direct2")}, direct, cmp.Comparer(func(a, b *Host) bool { return a == b })); diff != "" {
		t.Errorf("hosts (-want +got):\n%s", diff)
	}
	clients, err := l.AddClients(2)
	if err != nil {
		t.Fatal(err)
	}
	for _, protocol := range []string{"tcp", "udp"} {
		for i, address := range addressPorts("192.168.56.22:7", "[fd00:56::22]:7") {
			if err := direct[1].Respond(protocol, address); err != nil {
				t.Fatal(err)
			}
			for _, source := range []netip.AddrPort{{}, netip.AddrPortFrom(clients[2+i], 0)} {
				if name, err := l.Client.Ask(Question{Protocol: protocol, Target: address, Source: source}); name != "direct2" || err != nil {
					t.Errorf("%s %v from %v: %q, %v", protocol, address, source, name, err)
				}
			}
		}
	}
	q := Question{Protocol: "tcp", Target: netip.MustParseAddrPort("192.168.56.22:7")}
	if names, err := l.Client.AskTogether(q, q); len(names) != 2 || err != nil {
		t.Errorf("two at a time: %v, %v", names, err)
	}
	_, err = l.Client.Ask(Question{Protocol: "tcp", Target: ServiceAddress})
	if err == nil || !strings.HasPrefix(err.Error(), "question 1 of 1 to tcp 192.168.56.10:80: ") || !errors.Is(err, unix.EHOSTUNREACH) {
		t.Errorf("the virtual address: %v, want that nobody has it", err)
	}
}
