package lvs_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"bascule/lvs"
)

// owner says which services are ours; all sync daemons are.
type owner func(lvs.ServiceKey) bool

// Ours says whether a service is ours.
func (o owner) Ours(key lvs.ServiceKey) bool { return o(key) }

// OursRole says whether a sync daemon is ours.
func (o owner) OursRole(lvs.SyncRole) bool { return true }

// all takes every service for ours.
func all(lvs.ServiceKey) bool { return true }

// lines returns operations as text.
func lines(ops []lvs.Op) []string {
	var text []string
	for _, op := range ops {
		text = append(text, op.String())
	}
	return text
}

// diffTest is two tables and the operations from one to the other.
type diffTest struct {
	name       string
	have, want lvs.Table
	ours       func(lvs.ServiceKey) bool
	ops        []string
}

// diffTests returns the tests of Diff, with tables that the test may change.
func diffTests() []diffTest {
	return []diffTest{
		{
			name: "nothing to nothing",
			ours: all,
		},
		{
			name: "equal tables",
			have: table(entry("10.0.0.1:80", "rr", destination("10.1.0.1:80", 1))),
			want: table(entry("10.0.0.1:80", "rr", destination("10.1.0.1:80", 1))),
			ours: all,
		},
		{
			name: "a service is followed by its destinations",
			want: table(
				entry("10.0.0.2:80", "wrr", destination("10.1.0.3:80", 1)),
				entry("10.0.0.1:80", "rr", destination("10.1.0.2:80", 2), destination("10.1.0.1:80", 1)),
			),
			ours: all,
			ops: []string{
				"add service tcp 10.0.0.1:80 scheduler rr",
				"add destination 10.1.0.1:80 of tcp 10.0.0.1:80 weight 1",
				"add destination 10.1.0.2:80 of tcp 10.0.0.1:80 weight 2",
				"add service tcp 10.0.0.2:80 scheduler wrr",
				"add destination 10.1.0.3:80 of tcp 10.0.0.2:80 weight 1",
			},
		},
		{
			name: "scheduler and weight change in place",
			have: table(entry("10.0.0.1:80", "rr", destination("10.1.0.1:80", 1))),
			want: table(entry("10.0.0.1:80", "wlc", destination("10.1.0.1:80", 5))),
			ours: all,
			ops: []string{
				"update service tcp 10.0.0.1:80 scheduler wlc",
				"update destination 10.1.0.1:80 of tcp 10.0.0.1:80 weight 5",
			},
		},
		{
			name: "add, then update, then delete",
			have: table(
				entry("10.0.0.1:80", "rr", destination("10.1.0.1:80", 1), destination("10.1.0.2:80", 1)),
				entry("10.0.0.0:80", "rr", destination("10.1.0.9:80", 1)),
			),
			want: table(entry("10.0.0.1:80", "rr", destination("10.1.0.2:80", 2), destination("10.1.0.3:80", 1))),
			ours: all,
			ops: []string{
				"add destination 10.1.0.3:80 of tcp 10.0.0.1:80 weight 1",
				"update destination 10.1.0.2:80 of tcp 10.0.0.1:80 weight 2",
				"delete destination 10.1.0.1:80 of tcp 10.0.0.1:80",
				"delete service tcp 10.0.0.0:80",
			},
		},
		{
			name: "the last destination goes, the service stays",
			have: table(entry("10.0.0.1:80", "rr", destination("10.1.0.1:80", 1))),
			want: table(entry("10.0.0.1:80", "rr")),
			ours: all,
			ops:  []string{"delete destination 10.1.0.1:80 of tcp 10.0.0.1:80"},
		},
		{
			name: "what others keep is left alone",
			have: table(
				entry("10.0.0.1:80", "rr", destination("10.1.0.1:80", 1)),
				entry("10.0.0.9:80", "rr", destination("10.1.0.1:80", 1)),
			),
			want: table(entry("10.0.0.9:80", "wrr")),
			ours: func(k lvs.ServiceKey) bool { return k == key("10.0.0.1:80") },
			ops:  []string{"delete service tcp 10.0.0.1:80"},
		},
		{
			name: "settings that others added are reset",
			have: table(lvs.Entry{
				Service:      lvs.Service{ServiceKey: key("10.0.0.1:80"), Scheduler: "rr", Altered: true},
				Destinations: entry("10.0.0.1:80", "rr", lvs.Destination{Address: destination("10.1.0.1:80", 1).Address, Weight: 1, Altered: true}).Destinations,
			}),
			want: table(entry("10.0.0.1:80", "rr", destination("10.1.0.1:80", 1))),
			ours: all,
			ops: []string{
				"update service tcp 10.0.0.1:80 scheduler rr",
				"update destination 10.1.0.1:80 of tcp 10.0.0.1:80 weight 1",
			},
		},
	}
}

// TestDiff checks the operations and their order, and where they lead.
func TestDiff(t *testing.T) {
	for _, test := range diffTests() {
		t.Run(test.name, func(t *testing.T) {
			ops := lvs.Diff(tables(test.have), tables(test.want), owner(test.ours))
			if diff := cmp.Diff(test.ops, lines(ops)); diff != "" {
				t.Errorf("operations (-want +got):\n%s", diff)
			}
			if test.have == nil {
				test.have = lvs.Table{}
			}
			for _, op := range ops {
				test.have.Apply(op)
			}
			if rest := lvs.Diff(tables(test.have), tables(test.want), owner(test.ours)); len(rest) > 0 {
				t.Errorf("not done after all operations: %v", lines(rest))
			}
		})
	}
}

// TestApplyLevel checks that Apply leads to the meant state from any other.
func TestApplyLevel(t *testing.T) {
	service := lvs.Service{ServiceKey: key("10.0.0.1:80"), Scheduler: "wrr"}
	web := destination("10.1.0.1:80", 2)
	for _, test := range []struct {
		name string
		have lvs.Table
		op   lvs.Op
		want lvs.Table
	}{
		{"add a service that is there", table(entry("10.0.0.1:80", "rr", web)), lvs.Op{Kind: lvs.AddService, Service: service}, table(entry("10.0.0.1:80", "wrr", web))},
		{"update a service that is not there", table(), lvs.Op{Kind: lvs.UpdateService, Service: service}, table()},
		{"delete a service that is not there", table(), lvs.Op{Kind: lvs.DeleteService, Service: service}, table()},
		{"add a destination of a service that is not there", table(), lvs.Op{Kind: lvs.AddDestination, Service: service, Destination: web}, table()},
		{"delete a destination that is not there", table(entry("10.0.0.1:80", "wrr")), lvs.Op{Kind: lvs.DeleteDestination, Service: service, Destination: web}, table(entry("10.0.0.1:80", "wrr"))},
		{"update a destination that is not there", table(entry("10.0.0.1:80", "wrr")), lvs.Op{Kind: lvs.UpdateDestination, Service: service, Destination: web}, table(entry("10.0.0.1:80", "wrr", web))},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.have.Apply(test.op)
			if diff := cmp.Diff(test.want, test.have, netipComparer); diff != "" {
				t.Errorf("table (-want +got):\n%s", diff)
			}
		})
	}
}

// TestDiffAmong checks that of services that are not suspected the destinations
// are not compared, and all else is.
func TestDiffAmong(t *testing.T) {
	have := tables(table(
		entry("10.0.0.1:80", "rr", destination("10.1.0.1:80", 1)),
		entry("10.0.0.2:80", "rr", destination("10.1.0.1:80", 1)),
		entry("10.0.0.3:80", "rr", destination("10.1.0.1:80", 1)),
		entry("10.0.0.4:80", "rr"),
	))
	want := tables(table(
		entry("10.0.0.1:80", "rr", destination("10.1.0.1:80", 2)),
		entry("10.0.0.2:80", "rr", destination("10.1.0.1:80", 2)),
		entry("10.0.0.3:80", "wrr", destination("10.1.0.1:80", 2)),
		entry("10.0.0.5:80", "rr", destination("10.1.0.1:80", 2)),
	))
	suspect := entry("10.0.0.2:80", "").Service.ServiceKey
	got := lvs.DiffAmong(have, want, owner(all), func(key lvs.ServiceKey) bool { return key == suspect })
	expected := []string{
		"update destination 10.1.0.1:80 of tcp 10.0.0.2:80 weight 2",
		"update service tcp 10.0.0.3:80 scheduler wrr",
		"update destination 10.1.0.1:80 of tcp 10.0.0.3:80 weight 2",
		"add service tcp 10.0.0.5:80 scheduler rr",
		"add destination 10.1.0.1:80 of tcp 10.0.0.5:80 weight 2",
		"delete service tcp 10.0.0.4:80",
	}
	if diff := cmp.Diff(expected, lines(got)); diff != "" {
		t.Errorf("operations (-want +got):\n%s", diff)
	}
}
