package lab

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestParseStatus decodes a status with all its parts.
func TestParseStatus(t *testing.T) {
	t.Parallel()
	got, err := parseStatus(`{
		"node": "lb", "version": "1.0", "problems": ["IPVS: none"], "something": {"new": true},
		"groups": [{"name": "web", "state": "active", "since": "2026-01-02T03:04:05Z", "priority": 150, "faults": ["gateway: link down"],
			"routers": [{"name": "public", "interface": "enp0s3", "vrid": 56, "family": "ipv4", "state": "active",
				"addresses": ["192.168.56.10/24"], "active_source": "192.168.56.11"}]}],
		"virtual_servers": [{"name": "www", "address": "192.168.56.10:80", "protocol": "tcp", "scheduler": "wrr", "forwarding": "masquerade",
			"real_servers": [
				{"address": "192.168.200.11:80", "weight": 3, "member": true, "healthy": true, "reason": ""},
				{"address": "192.168.200.12:80", "weight": 1, "member": false, "healthy": false, "reason": "refused"}]}]}`)
	if err != nil {
		t.Fatal(err)
	}
	want := Status{
		Node: "lb", Version: "1.0", Problems: []string{"IPVS: none"},
		Groups: []GroupStatus{{
			Name: "web", State: StateActive, Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Priority: 150, Faults: []string{"gateway: link down"},
			Routers: []RouterStatus{{Name: "public", Interface: "enp0s3", VRID: 56, Family: "ipv4", State: StateActive,
				Addresses: []string{"192.168.56.10/24"}, ActiveSource: "192.168.56.11"}},
		}},
		VirtualServers: []VirtualServerStatus{{
			Name: "www", Address: "192.168.56.10:80", Protocol: "tcp", Scheduler: "wrr", Forwarding: "masquerade",
			RealServers: []RealServerStatus{
				{Address: "192.168.200.11:80", Weight: 3, Member: true, Healthy: true},
				{Address: "192.168.200.12:80", Weight: 1, Reason: "refused"},
			},
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	if members := got.Members("www"); !cmp.Equal(members, []string{"192.168.200.11:80"}) {
		t.Errorf("members of www: %v", members)
	}
	if members := got.Members("other"); members != nil {
		t.Errorf("members of a virtual server that is not there: %v", members)
	}
	if _, found := got.Group("other"); found {
		t.Error("there is a group other")
	}
	if _, err := parseStatus("not running"); err == nil || !strings.Contains(err.Error(), `"not running"`) {
		t.Errorf("what is no JSON: %v", err)
	}
}

// newTestDirector prepares the stand-in on lb with orders for it.
func newTestDirector(t *testing.T, orders string) *Director {
	t.Helper()
	l := NewT(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewDirector(l.LB, self)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.WriteConfig(orders); err != nil {
		t.Fatal(err)
	}
	return d
}

// TestDirectorLife starts, reads, reloads, stops and restarts a director.
func TestDirectorLife(t *testing.T) {
	t.Parallel()
	d := newTestDirector(t, StateActive)
	ctx := deadline(t)
	if d.Log() != "" || d.Kill() != nil {
		t.Error("a director that was never started has a log, or cannot be killed in peace")
	}
	if err := d.Stop(ctx); err == nil {
		t.Error("a director that was never started was stopped")
	}
	if err := d.Start(ctx); err != nil {
		t.Fatal(err)
	}
	status, err := d.AwaitState(ctx, "web", StateActive)
	if g, _ := status.Group("web"); err != nil || g.Priority != 150 {
		t.Fatalf("status %+v, %v", status, err)
	}
	if err := d.WriteConfig(StateBackup); err != nil {
		t.Fatal(err)
	}
	if err := d.Reload(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := d.AwaitState(ctx, "web", StateBackup); err != nil {
		t.Fatal(err)
	}
	if err := d.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Status(ctx); err == nil || !strings.Contains(err.Error(), "not running") {
		t.Errorf("status after the end: %v", err)
	}
	if err := d.Stop(ctx); err == nil {
		t.Error("a stopped director was stopped again")
	}
	if err := d.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if err := d.Kill(); err != nil {
		t.Fatal(err)
	}
	const want = "lb has orders: active\nlb has orders: backup\n"
	if got := d.Log(); got != want {
		t.Errorf("log %q, want %q", got, want)
	}
}

// TestDirectorFails runs directors that do not do what they should.
func TestDirectorFails(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, orders string
		act          func(ctx context.Context, d *Director) error
		want         []string // in the error
	}{
		{"ends at once", "crash", func(ctx context.Context, d *Director) error { return d.Start(ctx) },
			[]string{"bascule on lb has ended while waiting for an answer", "stand-in: crash"}},
		{"never gets there", StateBackup, func(ctx context.Context, d *Director) error {
			if err := d.Start(ctx); err != nil {
				return err
			}
			short, cancel := context.WithTimeout(ctx, 3*time.Second)
			defer cancel()
			_, err := d.AwaitState(short, "web", StateActive)
			return err
		}, []string{"waiting for group web to be active of lb", "State:backup"}},
		{"members that never come", StateActive, func(ctx context.Context, d *Director) error {
			if err := d.Start(ctx); err != nil {
				return err
			}
			short, cancel := context.WithTimeout(ctx, 3*time.Second)
			defer cancel()
			_, err := d.AwaitMembers(short, "www", "192.168.200.11:80")
			return err
		}, []string{"waiting for members [192.168.200.11:80] of www of lb"}},
		{"does not end", "deaf", func(ctx context.Context, d *Director) error {
			if err := d.Start(ctx); err != nil {
				return err
			}
			if _, err := d.AwaitState(ctx, "web", "deaf"); err != nil {
				return err
			}
			// It announces its state before it becomes deaf.
			time.Sleep(200 * time.Millisecond)
			short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
			defer cancel()
			err := d.Stop(short)
			<-d.Process().Done() // killed
			return err
		}, []string{"has not ended after SIGTERM"}},
		{"ends badly", "sloppy", func(ctx context.Context, d *Director) error {
			if err := d.Start(ctx); err != nil {
				return err
			}
			if _, err := d.AwaitState(ctx, "web", "sloppy"); err != nil {
				return err
			}
			return d.Stop(ctx)
		}, []string{"ended badly after SIGTERM: exit status 1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := tt.act(deadline(t), newTestDirector(t, tt.orders))
			for _, want := range tt.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("error %v, want one with %q", err, want)
				}
			}
		})
	}
}

// TestWriteConfig leaves no half-written file beside the whole one.
func TestWriteConfig(t *testing.T) {
	t.Parallel()
	d := newTestDirector(t, "one")
	if err := d.WriteConfig("two"); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(d.ConfigFile())
	if err != nil || string(text) != "two" {
		t.Errorf("%q, %v", text, err)
	}
	files, err := filepath.Glob(filepath.Join(filepath.Dir(d.ConfigFile()), "bascule.toml*"))
	if err != nil || len(files) != 1 {
		t.Errorf("files %v, %v", files, err)
	}
}
