//go:build ipvs

package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bascule/cmd/internal/lab"
)

// bazaar is the network with one director, and real servers of all sorts.
type bazaar struct {
	*lab.Lab
	clients []netip.Addr // of both families in turn
	accept  []string     // the options of the real servers for tunnels
	bare    []string     // what each of them is like when nothing is set up
}

// newBazaar builds the network for the cases.
func newBazaar(t *testing.T, cases []trafficCase) *bazaar {
	t.Helper()
	b := &bazaar{Lab: lab.NewT(t)}
	_, err := b.AddDirect()
	must(t, err)
	b.clients, err = b.AddClients(3)
	must(t, err)
	_, err = b.Client.Output(bounded(t), "modprobe", "sctp")
	must(t, err)
	for i, host := range b.Web {
		for _, address := range []string{webAddresses[i], web6Addresses[i]} {
			for _, port := range []uint16{serverPort, marked, marked + 1} {
				for _, protocol := range []string{"tcp", "udp", "sctp"} {
					must(t, host.Respond(protocol, netip.AddrPortFrom(netip.MustParseAddr(address), port)))
				}
			}
		}
	}
	for _, host := range b.Direct {
		must(t, host.Sysctl("net/ipv4/conf/all/rp_filter", "1"))
		for _, module := range []string{"ipip", "sit", "ip6_tunnel", "ip_gre", "ip6_gre", "fou"} {
			_, err := host.Output(bounded(t), "modprobe", module)
			must(t, err)
		}
		realServerOK(t, host, "down")
		b.bare = append(b.bare, printHost(t, host))
		realServerOK(t, host, append([]string{"up"}, directVIPs()...)...)
		for _, c := range cases {
			if c.Forwarding != "masquerade" {
				must(t, host.Respond(c.Protocol, c.Addresses[0]))
			}
		}
	}
	must(t, b.LB.Mark(bounded(t), mark, "tcp", lab.PublicVIP.Addr(), marked, marked+1))
	must(t, b.LB.Mark(bounded(t), mark6, "tcp", lab.PublicVIP6[1].Addr(), marked, marked+1))
	return b
}

// TestTrafficWithKeepalived has keepalived balance all cases, to know that the
// laboratory and the expectations are right.
func TestTrafficWithKeepalived(t *testing.T) {
	cases := trafficCases()
	b := newBazaar(t, cases)
	services, total := servicesOf(cases)
	k, err := lab.StartKeepalived(b.LB, lab.KeepalivedConfig{Priority: 150, Families: lab.DualStack, Services: services})
	must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(tail(k.Log(), 8192))
		}
	})
	b.serve(t, cases, total)
}

// servicesOf returns the services of cases and how many destinations the
// kernel has for them.
func servicesOf(cases []trafficCase) (services []lab.Service, destinations int) {
	for _, c := range cases {
		services = append(services, c.Service)
		destinations += max(1, len(c.Addresses)) * len(c.Servers)
	}
	return services, destinations
}

// await waits until the director is active and the kernel has everything.
func (b *bazaar) await(t *testing.T, destinations int) {
	t.Helper()
	awaitVIPs(t, b.LB, true)
	for _, address := range []netip.Addr{lab.PublicVIP6[1].Addr(), lab.InternalVIP6[1].Addr()} {
		must(t, lab.AwaitAddress(bounded(t), b.LB, address, true))
	}
	must(t, b.LB.AwaitIPVS(bounded(t), destinations))
}

// serve waits for the director, then reads the table back and asks each case.
func (b *bazaar) serve(t *testing.T, cases []trafficCase, destinations int) {
	t.Helper()
	b.await(t, destinations)
	rules, err := b.LB.IPVSRules(bounded(t))
	must(t, err)
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			if diff := cmp.Diff(c.rules(), rulesOf(rules, c)); diff != "" {
				t.Errorf("the kernel's table (-want +got):\n%s", diff)
			}
			if c.Forwarding != "masquerade" {
				b.setUp(t, c.accept())
			}
			b.answer(t, c)
		})
	}
	b.setUp(t, nil)
}

// setUp has the real servers unwrap what options say, by the command, and
// nothing else: what was set up before is undone.
func (b *bazaar) setUp(t *testing.T, accept []string) {
	t.Helper()
	if slices.Equal(accept, b.accept) {
		return
	}
	b.accept = accept
	for i, host := range b.Direct {
		realServerOK(t, host, "down")
		if diff := cmp.Diff(b.bare[i], printHost(t, host)); diff != "" {
			t.Errorf("%s after down (-before up +after down):\n%s", host.Name, diff)
		}
		realServerOK(t, host, append(append([]string{"up"}, accept...), directVIPs()...)...)
	}
}

// directVIPs are the virtual addresses of the real servers that answer clients
// themselves.
func directVIPs() []string {
	return []string{lab.PublicVIP.Addr().String(), lab.PublicVIP6[1].Addr().String()}
}

// printHost returns the interfaces of a host with their addresses, the sysctls
// that matter to a real server, and the UDP ports of tunnels.
func printHost(t *testing.T, host *lab.Host) string {
	t.Helper()
	out, err := host.Output(bounded(t), "sh", "-c",
		"ip -br link; ip -br address; grep . /proc/sys/net/ipv4/conf/*/arp_[ai]* /proc/sys/net/ipv4/conf/*/rp_filter; ip fou show; ip -6 fou show")
	must(t, err)
	return out
}

// selectors are the options by which ipvsadm names the services of a case.
func (c trafficCase) selectors() []string {
	if len(c.Addresses) == 0 {
		selector := fmt.Sprintf("-f %d", c.Mark)
		if c.IPv6 {
			selector += " -6"
		}
		return []string{selector}
	}
	var selectors []string
	for _, address := range c.Addresses {
		option := map[string]string{"tcp": "-t", "udp": "-u", "sctp": "--sctp-service"}[c.Protocol]
		selectors = append(selectors, option+" "+address.String())
	}
	return selectors
}

// rules are the case as ipvsadm must read it back, sorted.
func (c trafficCase) rules() []string {
	var rules []string
	for _, selector := range c.selectors() {
		rules = append(rules, "-A "+selector+" "+c.shown)
		for _, rs := range c.Servers {
			rules = append(rules, fmt.Sprintf("-a %s -r %v %s -w %d%s", selector, rs.Address, c.server, rs.Weight, c.tunnelShown()))
		}
	}
	slices.Sort(rules)
	return rules
}

// tunnelShown is how ipvsadm ends the line of a real server in a tunnel.
func (c trafficCase) tunnelShown() string {
	checksum := " " + map[string]string{"": "--tun-nocsum", "checksum": "--tun-csum", "remote": "--tun-remcsum"}[c.Tunnel.Checksum]
	switch {
	case c.Forwarding != "tunnel":
		return ""
	case c.Tunnel.Type == "gue":
		return fmt.Sprintf(" --tun-type gue --tun-port %d", c.Tunnel.Port) + checksum
	case c.Tunnel.Type == "gre":
		return " --tun-type gre" + checksum
	}
	return " --tun-type ipip"
}

// rulesOf returns the rules of a case out of all, sorted.
func rulesOf(all []string, c trafficCase) []string {
	var rules []string
	for _, selector := range c.selectors() {
		for _, rule := range all {
			if strings.HasPrefix(rule+" ", "-A "+selector+" ") || strings.HasPrefix(rule, "-a "+selector+" ") {
				rules = append(rules, rule)
			}
		}
	}
	slices.Sort(rules)
	return rules
}

// answer asks a case and counts who has answered.
func (b *bazaar) answer(t *testing.T, c trafficCase) {
	t.Helper()
	var questions []lab.Question
	for i := range c.ask.n {
		questions = append(questions, b.question(c, i))
	}
	rounds := [][]lab.Question{questions}
	if !c.ask.together {
		rounds = nil
		for _, q := range questions {
			rounds = append(rounds, []lab.Question{q})
		}
	}
	by := map[string]int{}
	for _, round := range rounds {
		names, err := b.Client.AskTogether(round...)
		must(t, err)
		for _, name := range names {
			by[name]++
		}
	}
	var answers []int
	for _, n := range by {
		answers = append(answers, n)
	}
	slices.SortFunc(answers, func(a, b int) int { return b - a })
	if c.answers == nil && len(answers) > 1 {
		return
	}
	if diff := cmp.Diff(c.answers, answers); diff != "" {
		t.Errorf("answers %v (-want +got):\n%s", by, diff)
	}
}

// question is the one of a number: clients take turns, and so do the targets
// of each client.
func (b *bazaar) question(c trafficCase, i int) lab.Question {
	targets := c.ask.targets
	if targets == nil {
		targets = c.Addresses
	}
	clients := max(1, c.ask.clients)
	target := targets[i/clients%len(targets)]
	client := b.clients[i%clients*2]
	if target.Addr().Is6() {
		client = b.clients[i%clients*2+1]
	}
	q := lab.Question{Protocol: c.Protocol, Target: target, Source: netip.AddrPortFrom(client, c.ask.source)}
	if q.Protocol == "" { // of a mark
		q.Protocol = "tcp"
	}
	if messages := c.ask.messages; messages != nil {
		q.Message = messages[i%len(messages)]
	}
	return q
}
