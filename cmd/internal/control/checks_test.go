package control

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// exampleChecks are checks with something of everything.
func exampleChecks(now time.Time) []Check {
	since := now.Add(-125 * time.Second)
	return []Check{{
		Name: "https 192.168.200.11:443", Kind: "https", Target: "192.168.200.11:443", Parameters: "method GET path / status 200",
		Interval: "1s", Timeout: "1s", State: "healthy", Since: &since, Weight: "50 %", Warning: "certificate expires 2026-01-02",
		Users: []CheckUser{{"www", "192.168.200.11:443"}, {"www", "192.168.200.11:80"}, {"a", "x"}, {"b", "x"}, {"c", "x"}},
	}, {
		Name: "script 192.168.200.12", Kind: "script", Target: "192.168.200.12", Way: "through enp0s8", State: "unhealthy", Since: &since,
		Reason: "script exited with status 1", Drain: true, Users: []CheckUser{{"www", "192.168.200.12:80"}},
		Results: []CheckResult{
			{Start: now.Add(-3 * time.Second), Duration: 1.5, Verdict: true, Reason: "killed after 1.5s", State: "healthy"},
			{Start: now.Add(-2 * time.Second), Duration: 0.0123456, Verdict: true, Reason: "script exited with status 1", State: "unhealthy", Changed: true},
			{Start: now.Add(-time.Second), Duration: 0.000003, Reason: "no verdict: too many open files on this director", State: "unhealthy"},
			{Start: now, Duration: 0.0023, Verdict: true, Good: true, State: "healthy", Changed: true},
		},
	}, {Name: "tcp 192.168.200.13:80", Kind: "tcp", State: "unknown", Users: []CheckUser{}}}
}

// TestChecksOverSocket asks for checks, and expects the daemon to be told which
// are meant.
func TestChecksOverSocket(t *testing.T) {
	f := &fakeService{}
	client := NewClient(serve(t, f))
	defer client.Close()
	for _, want := range [][]Check{{}, exampleChecks(time.Unix(1700000000, 0).UTC())} {
		for _, request := range []ChecksRequest{{}, {Match: []string{"www", "[fe80::1%eth0]:80 & more"}, Results: true}} {
			f.checks = want
			got, err := client.Checks(t.Context(), request)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("checks (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(request, f.match); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
		}
	}
}

// TestWriteChecks compares the whole table, as an administrator reads it.
func TestWriteChecks(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.Local)
	for _, test := range []struct {
		name   string
		checks []Check
		want   string
	}{
		{"none", nil, "No check.\n"},
		{"some", exampleChecks(now), `CHECK                                 STATE      FOR    USED BY               PARAMETERS                    REASON
https 192.168.200.11:443              healthy    2m 5s  www, a, b and 1 more  method GET path / status 200  asks for weight 50 %; WARNING: certificate expires 2026-01-02
script 192.168.200.12 through enp0s8  unhealthy  2m 5s  www                                                 script exited with status 1; asks to drain

  STARTED                  TOOK     RESULT
  2026-01-01 11:59:57.000  1.5s     killed after 1.5s
  2026-01-01 11:59:58.000  12.35ms  script exited with status 1: unhealthy
  2026-01-01 11:59:59.000  3µs      no verdict: too many open files on this director
  2026-01-01 12:00:00.000  2.3ms    good: healthy

CHECK                  STATE    FOR  USED BY  PARAMETERS  REASON
tcp 192.168.200.13:80  unknown  -
`},
	} {
		t.Run(test.name, func(t *testing.T) {
			var b strings.Builder
			if err := WriteChecks(&b, test.checks, now); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, b.String()); diff != "" {
				t.Errorf("table (-want +got):\n%s", diff)
			}
		})
	}
}
