package control

import (
	"fmt"
	"strings"
	"time"
)

// ipvs prints what concerns the kernel's IPVS as a whole; of timeouts only if
// any is configured.
func (t *table) ipvs(s Status) {
	if len(s.SyncDaemons) > 0 {
		fmt.Fprintln(t, "\nCONNECTION SYNC\tINTERFACE\tID\tSTATE")
	}
	for _, d := range s.SyncDaemons {
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\n", d.Role, d.Interface, d.ID, syncState(d))
	}
	if s.Timeouts == nil || s.Timeouts.TCP.Wanted+s.Timeouts.TCPFin.Wanted+s.Timeouts.UDP.Wanted == "" {
		return
	}
	fmt.Fprintln(t, "\nTIMEOUT\tFOUND\tWANTED")
	for _, each := range []struct {
		name string
		Timeout
	}{{"tcp", s.Timeouts.TCP}, {"tcp_fin", s.Timeouts.TCPFin}, {"udp", s.Timeouts.UDP}} {
		wanted := each.Wanted
		if wanted == "" {
			wanted = "as the kernel has it"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", each.name, each.Found, wanted)
	}
}

// syncState says whether a sync daemon is as it should be.
func syncState(d SyncDaemon) string {
	switch {
	case d.Running && d.Wanted:
		return "running"
	case d.Running:
		return "running, not wanted"
	}
	return "not running"
}

// virtualServers prints each virtual server with its real servers below it.
func (t *table) virtualServers(servers []VirtualServer, now time.Time) {
	for _, vs := range servers {
		fmt.Fprintf(t, "\nVIRTUAL SERVER  %s  %s  %s\n", vs.Name, services(vs.Services), strings.Join(manner(vs), "  "))
		if q := vs.Quorum; q != nil {
			fmt.Fprintf(t, "  quorum %s: %s\n", q.State, q.Reason)
		}
		fmt.Fprintln(t, "  REAL SERVER\tWEIGHT\tSTATE\tHEALTH\tACTIVE\tINACTIVE\tTOTAL\tIN\tOUT\tREASON")
		for _, rs := range vs.RealServers {
			t.realServer(rs, now)
		}
		for _, rs := range vs.Sorry {
			rs.Address += " (sorry)"
			t.realServer(rs, now)
		}
	}
}

// services names the services of a virtual server, the first few of many.
func services(list []string) string {
	const most = 3
	if len(list) <= most {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), len(list)-most)
}

// manner says how a virtual server spreads connections.
func manner(vs VirtualServer) []string {
	words := []string{vs.Scheduler, vs.Forwarding}
	if vs.Persistence != "" {
		words = append(words, "persistent "+vs.Persistence)
	}
	return words
}

// realServer prints a line about one real server.
func (t *table) realServer(rs RealServer, now time.Time) {
	weight := fmt.Sprint(rs.Weight)
	if rs.State != "out" && rs.EffectiveWeight != rs.Weight {
		weight = fmt.Sprintf("%d of %d", rs.EffectiveWeight, rs.Weight)
	}
	reason := rs.Reason
	if rs.WeightReason != "" {
		reason = joinWords(reason, rs.WeightReason)
	}
	if rs.Until != nil && now.Before(*rs.Until) {
		reason += fmt.Sprintf(" (%s left)", Age(rs.Until.Sub(now)))
	}
	c := rs.Connections
	fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%d\t%d\t%d\t%s\t%s\t%s\n", rs.Address, weight, rs.State, rs.Health,
		c.Active, c.Inactive, c.Total, Size(rs.Traffic.BytesIn), Size(rs.Traffic.BytesOut), reason)
}

// Size writes a number of bytes with three or four digits: "999", "1.2k",
// "340M".
func Size(bytes uint64) string {
	const units = " kMGTPE"
	value, unit := float64(bytes), 0
	// What would be rounded to four digits has the next unit.
	for value >= 999.5 && unit < len(units)-1 {
		value, unit = value/1000, unit+1
	}
	switch {
	case unit == 0:
		return fmt.Sprint(bytes)
	case value < 9.95:
		return fmt.Sprintf("%.1f%c", value, units[unit])
	}
	return fmt.Sprintf("%.0f%c", value, units[unit])
}
