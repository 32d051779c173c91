package lab

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// IPVSService is one service of a kernel's IPVS table, as ipvsadm(8) says.
type IPVSService struct {
	Protocol     string // "TCP", "UDP", "SCTP", or "FWM" with the mark as address
	Address      string // address:port
	Scheduler    string
	Flags        []string // "persistent", "360", …
	Destinations []IPVSDestination
}

// IPVSDestination is one real server of an IPVS service.
type IPVSDestination struct {
	Address    string // address:port
	Forwarding string // "Masq", "Route" or "Tunnel"
	Weight     int
	Active     int // connections
	Inactive   int
}

// IPVS reads the IPVS table of the host's kernel. A kernel without IPVS is an
// error.
func (h *Host) IPVS(ctx context.Context) ([]IPVSService, error) {
	text, err := h.Output(ctx, "ipvsadm", "-L", "-n")
	if err != nil {
		return nil, err
	}
	return parseIPVS(text)
}

// parseIPVS reads the output of "ipvsadm -L -n".
func parseIPVS(text string) ([]IPVSService, error) {
	var services []IPVSService
	for number, line := range strings.Split(text, "\n") {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0 || heading(fields):
		case fields[0] != "->":
			if len(fields) < 3 {
				return nil, fmt.Errorf("ipvsadm, line %d: %q: want protocol, address and scheduler", number+1, line)
			}
			services = append(services, IPVSService{Protocol: fields[0], Address: fields[1], Scheduler: fields[2], Flags: fields[3:]})
		case len(services) == 0:
			return nil, fmt.Errorf("ipvsadm, line %d: %q: a destination before any service", number+1, line)
		default:
			destination, err := parseDestination(fields)
			if err != nil {
				return nil, fmt.Errorf("ipvsadm, line %d: %q: %v", number+1, line, err)
			}
			last := &services[len(services)-1]
			last.Destinations = append(last.Destinations, destination)
		}
	}
	return services, nil
}

// heading says whether a line is one of the three above the table.
func heading(fields []string) bool {
	return fields[0] == "IP" || fields[0] == "Prot" || len(fields) > 1 && fields[1] == "RemoteAddress:Port"
}

// parseDestination reads "-> address forwarding weight active inactive".
func parseDestination(fields []string) (IPVSDestination, error) {
	if len(fields) != 6 {
		return IPVSDestination{}, fmt.Errorf("%d fields, want 6", len(fields))
	}
	var numbers [3]int
	for i := range numbers {
		n, err := strconv.Atoi(fields[3+i])
		if err != nil {
			return IPVSDestination{}, err
		}
		numbers[i] = n
	}
	return IPVSDestination{Address: fields[1], Forwarding: fields[2], Weight: numbers[0], Active: numbers[1], Inactive: numbers[2]}, nil
}
