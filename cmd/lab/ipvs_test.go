//go:build ipvs

package main

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bascule/cmd/internal/lab"
)

// TestIPVS has the kernel of lb balance over the web servers, reads its table
// back, and counts what the client gets. The kernel of lb2 knows nothing of
// it.
func TestIPVS(t *testing.T) {
	l := lab.NewT(t)
	if _, err := l.StartWebServers(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	service := lab.ServiceAddress.String()
	for _, args := range [][]string{
		{"ip", "addr", "add", lab.PublicVIP.String(), "dev", lab.FirstCard},
		{"ip", "addr", "add", lab.InternalVIP.String(), "dev", lab.SecondCard},
		{"ipvsadm", "-A", "-t", service, "-s", "wrr"},
		{"ipvsadm", "-a", "-t", service, "-r", "192.168.200.11:80", "-m", "-w", "3"},
		{"ipvsadm", "-a", "-t", service, "-r", "192.168.200.12:80", "-m", "-w", "1"},
	} {
		if _, err := l.LB.Output(ctx, args[0], args[1:]...); err != nil {
			t.Fatal(err)
		}
	}
	got, err := l.LB.IPVS(ctx)
	if err != nil {
		t.Fatal(err)
	}
	want := []lab.IPVSService{{Protocol: "TCP", Address: service, Scheduler: "wrr", Flags: []string{}, Destinations: []lab.IPVSDestination{
		{Address: "192.168.200.11:80", Forwarding: "Masq", Weight: 3},
		{Address: "192.168.200.12:80", Forwarding: "Masq", Weight: 1},
	}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("table of lb (-want +got):\n%s", diff)
	}
	if services, err := l.LB2.IPVS(ctx); err != nil || len(services) != 0 {
		t.Errorf("table of lb2: %v, %v", services, err)
	}
	counts, err := l.Client.Balance(ctx, lab.ServiceAddress, 40)
	if diff := cmp.Diff(map[string]int{"web1": 30, "web2": 10}, counts); diff != "" || err != nil {
		t.Errorf("answers: %v (-want +got):\n%s", err, diff)
	}
}
