package mark

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/nftables"
	"github.com/vishvananda/netns"
)

// TestChurn checks that the table is recognized while another program edits
// its own all the time: the kernel's lists leave something out then, and the
// library does not tell.
func TestChurn(t *testing.T) {
	enterNamespace(t)
	ns, err := netns.Get()
	must(t, err)
	defer ns.Close()
	const chains = 600
	var text strings.Builder
	text.WriteString("table inet another {\n")
	for n := range chains {
		fmt.Fprintf(&text, "\tchain c%d {\n\t}\n", n)
	}
	text.WriteString("}\n")
	run(t, "nft", text.String())
	must(t, Apply(examples()))

	stop, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- churn(int(ns), chains, stop) }()
	for range 25 {
		checked(t, examples(), true)
		checked(t, nil, false)
	}
	must(t, Remove())
	close(stop)
	must(t, <-ended)
	if got := run(t, "nft", "list", "tables"); got != "table inet another\n" {
		t.Errorf("Remove has left\n%s", got)
	}
}

// churn deletes and adds chains of a table in a namespace until stop is closed.
func churn(ns, chains int, stop <-chan struct{}) error {
	c, err := nftables.New(nftables.WithNetNSFd(ns))
	if err != nil {
		return err
	}
	table := &nftables.Table{Name: "another", Family: nftables.TableFamilyINet}
	for n := 0; ; n = (n + 100) % chains {
		select {
		case <-stop:
			return nil
		default:
		}
		for _, edit := range []func(*nftables.Chain){c.DelChain, func(chain *nftables.Chain) { c.AddChain(chain) }} {
			for i := range 100 {
				edit(&nftables.Chain{Name: fmt.Sprint("c", n+i), Table: table})
			}
			if err := c.Flush(); err != nil {
				return err
			}
		}
	}
}
