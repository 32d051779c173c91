package lab

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestParseIPVS reads tables as ipvsadm prints them.
func TestParseIPVS(t *testing.T) {
	t.Parallel()
	const heading = "IP Virtual Server version 1.2.1 (size=4096)\n" +
		"Prot LocalAddress:Port Scheduler Flags\n" +
		"  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\n"
	tests := []struct {
		name, text string
		want       []IPVSService
		wantErr    string
	}{
		{name: "empty", text: heading},
		{name: "nothing", text: ""},
		{
			name: "all sorts",
			text: heading +
				"TCP  192.168.56.10:80 wrr persistent 360\n" +
				"  -> 192.168.200.11:80            Masq    3      2          10        \n" +
				"  -> 192.168.200.12:80            Masq    0      0          0         \n" +
				"UDP  [2001:db8::10]:53 rr\n" +
				"FWM  7 lc\n" +
				"  -> 192.168.200.13:0             Tunnel  1      0          0         \n",
			want: []IPVSService{
				{Protocol: "TCP", Address: "192.168.56.10:80", Scheduler: "wrr", Flags: []string{"persistent", "360"}, Destinations: []IPVSDestination{
					{"192.168.200.11:80", "Masq", 3, 2, 10}, {"192.168.200.12:80", "Masq", 0, 0, 0}}},
				{Protocol: "UDP", Address: "[2001:db8::10]:53", Scheduler: "rr", Flags: []string{}},
				{Protocol: "FWM", Address: "7", Scheduler: "lc", Flags: []string{}, Destinations: []IPVSDestination{
					{"192.168.200.13:0", "Tunnel", 1, 0, 0}}},
			},
		},
		{name: "a service cut short", text: heading + "TCP  192.168.56.10:80\n", wantErr: "line 4"},
		{name: "a destination of nothing", text: heading + "  -> 192.168.200.11:80 Masq 3 0 0\n", wantErr: "before any service"},
		{name: "a destination cut short", text: heading + "FWM  7 lc\n  -> 192.168.200.11:80 Masq 3\n", wantErr: "4 fields, want 6"},
		{name: "a weight in words", text: heading + "FWM  7 lc\n  -> 192.168.200.11:80 Masq three 0 0\n", wantErr: "line 5"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseIPVS(tt.text)
			if tt.wantErr == "" != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.wantErr) {
				t.Fatalf("error %v, want %q", err, tt.wantErr)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("table (-want +got):\n%s", diff)
			}
		})
	}
}
