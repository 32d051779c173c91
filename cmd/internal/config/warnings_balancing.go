package config

import (
	"fmt"
	"net/netip"
	"slices"

	"bascule/lvs"
)

// warnOfBalancing tells of virtual servers that may do other than they seem to.
func (p *problems) warnOfBalancing(c *Configuration) {
	for _, s := range c.servers {
		p.warnOfSlowStart(s)
		p.warnOfWeights(s)
		p.warnOfOverflow(s)
		p.warnOfDestinationHash(s)
		p.warnOfRefusal(s)
		p.warnOfSinglePackets(s)
	}
	p.warnOfUnrouted(c)
}

// scheduler is that of all services.
func (s server) scheduler() string { return s.config.Services[0].Scheduler }

// unweighted are the schedulers that look at no weight but 0.
var unweighted = []string{"rr", "lc", "dh"}

// warnOfSlowStart tells of weights that rise where that does not mean a rising
// share of the connections.
func (p *problems) warnOfSlowStart(s server) {
	effect := ""
	switch scheduler := s.scheduler(); {
	case s.config.SlowStart == 0:
	case len(s.checks) == 0:
		p.add(s.given.at("slow_start"), "has no effect: it begins when a check brings a real server, and none is checked")
	case slices.Contains(unweighted, scheduler):
		effect = "has no effect: the scheduler %q knows no weights"
	case scheduler == "sh" || scheduler == "mh":
		effect = "moves clients to another real server at each step of the weight, for which the scheduler %q assigns them anew"
	case scheduler == "fo":
		effect = "is a delay only: the scheduler %q gives all connections to the highest weight, also as soon as a rising one is that"
	case scheduler == "ovf":
		effect = "makes a real server that has come back the last one: the scheduler %q fills the highest weight first, up to so many connections"
	}
	if effect != "" {
		p.add(s.given.at("slow_start"), effect, s.scheduler())
	}
}

// warnOfWeights tells of weights that nobody looks at, and of real servers that
// all have none. The latter is how a whole service is taken out for its
// maintenance, and so no error.
func (p *problems) warnOfWeights(s server) {
	list, takesOver := s.config.RealServers, ""
	heaviest := slices.MaxFunc(list, func(a, b lvs.RealServerConfig) int { return int(a.Weight) - int(b.Weight) }).Weight
	if heaviest == 0 {
		if len(s.config.Sorry) > 0 {
			takesOver = ", which the sorry servers have"
		}
		p.add(s.given.at("real_server"), "all have weight 0, and none gets new connections%s", takesOver)
	}
	lighter := func(rs lvs.RealServerConfig) bool { return rs.Weight != 0 && rs.Weight != heaviest }
	if slices.Contains(unweighted, s.scheduler()) && s.config.Quorum.Weight == 0 && slices.ContainsFunc(list, lighter) {
		p.add(s.given.at("scheduler"), "%q knows no weights but 0: those of the real servers have no effect", s.scheduler())
	}
}

// warnOfOverflow tells of the default weight where weights are numbers of
// connections.
func (p *problems) warnOfOverflow(s server) {
	if s.scheduler() == "ovf" && !slices.ContainsFunc(s.config.RealServers, func(rs lvs.RealServerConfig) bool { return rs.Weight > 1 }) {
		p.add(s.given.at("scheduler"), `"ovf" takes the weight for how many active connections a real server may have, and refuses more: no weight is above 1`)
	}
}

// warnOfDestinationHash tells of schedulers that are for many destinations
// where there are few. Behind a firewall mark there may be many.
func (p *problems) warnOfDestinationHash(s server) {
	if slices.Contains([]string{"dh", "lblc", "lblcr"}, s.scheduler()) && s.config.Services[0].Mark == 0 {
		p.add(s.given.at("scheduler"), "%q chooses by the address that clients come to, and gives one real server all connections to it, or most: it is for proxies, with fwmark",
			s.scheduler())
	}
}

// warnOfRefusal tells of schedulers that give a client to a real server whether
// that takes new connections or not.
func (p *problems) warnOfRefusal(s server) {
	remedy := "another scheduler does not"
	switch scheduler := s.scheduler(); {
	case scheduler == "sh" || scheduler == "mh":
		if s.config.Services[0].Flags&lvs.SchedulerFlag1 != 0 {
			return
		}
		remedy = fmt.Sprintf("scheduler_flags = [%q] gives them to another one", scheduler+"-fallback")
	case scheduler != "dh":
		return
	}
	if reason := s.takesNone(); reason != "" {
		p.add(s.given.at("scheduler"), "%q refuses the clients of a real server that takes no new connections, as with %s: %s", s.scheduler(), reason, remedy)
	}
}

// takesNone says how some real servers come to be there without taking new
// connections while others do; "" if they do not. The scheduler "mh" counts
// those that never had a weight out.
func (s server) takesNone() string {
	has := func(f func(rs lvs.RealServerConfig) bool) bool { return slices.ContainsFunc(s.config.RealServers, f) }
	weightless := func(rs lvs.RealServerConfig) bool { return rs.Weight == 0 }
	switch {
	case has(weightless) && s.totalWeight() > 0 && s.scheduler() != "mh":
		return "weight = 0"
	case s.config.OnFailure == lvs.InhibitOnFailure:
		return fmt.Sprintf("on_failure = %q", lvs.InhibitOnFailure)
	case s.config.DrainLimit > 0:
		return "drain"
	case has(func(rs lvs.RealServerConfig) bool { return rs.Upper > 0 }):
		return "upper_threshold"
	}
	return ""
}

// warnOfSinglePackets tells of replies that are not translated back: by then
// nothing is known of a packet that was scheduled by itself. Only the engine
// "sip" finds its replies otherwise. To those who want no replies that is all
// the same, and so it is no error.
func (p *problems) warnOfSinglePackets(s server) {
	if first := s.config.Services[0]; first.Flags&lvs.OnePacket == 0 || first.Persistence.Engine == "sip" {
		return
	}
	warned := false
	s.everyServer(func(rs lvs.RealServerConfig, _ place) {
		if rs.Forwarding == lvs.Masquerade && !warned {
			warned = true
			p.add(s.given.at("one_packet"), "leaves replies untranslated: clients get them from %s itself, which has forwarding = %q", showHost(rs.Address), lvs.Masquerade)
		}
	})
}

// routedAddresses returns the name of the group of each virtual address.
func (c *Configuration) routedAddresses() map[netip.Addr]string {
	groups := map[netip.Addr]string{}
	for _, g := range c.groups {
		for _, r := range g.routers {
			for _, a := range r.addresses {
				groups[a.prefix.Addr()] = g.name
			}
		}
	}
	return groups
}

// groupOf returns the name of the group that brings traffic to the directors,
// "" if none does.
func (c claim) groupOf(routed map[netip.Addr]string) string {
	if c.First == c.Last {
		return routed[c.First]
	}
	name := ""
	for addr, group := range routed {
		// Of several the first by name, so that the warning is always the same.
		if !addr.Less(c.First) && !c.Last.Less(addr) && (name == "" || group < name) {
			name = group
		}
	}
	return name
}

// warnOfUnrouted tells of virtual servers with an address that no group has.
// A route to the directors, or an address that is always there, does as well;
// without groups it has to be so.
func (p *problems) warnOfUnrouted(c *Configuration) {
	routed, warned := c.routedAddresses(), map[string]bool{}
	for _, claim := range c.claims() {
		if len(c.groups) == 0 || claim.First.IsLoopback() || warned[claim.server] || claim.groupOf(routed) != "" {
			continue
		}
		warned[claim.server] = true
		p.add(claim.at, "%q has an address of no virtual router: no group brings that to a director, and something else has to, such as a route", claim)
	}
}
