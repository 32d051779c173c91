package lab

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// epoch is the time 0 of the synthetic captures.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// conversation makes frames out of "a@0 b@1.2 a!@2": who advertises when, in
// seconds; "!" is priority 0.
func conversation(t *testing.T, text string) []Frame {
	t.Helper()
	addresses := map[byte]string{'a': "192.168.56.11", 'b': "192.168.56.12", 'c': "192.168.56.13"}
	var frames []Frame
	for word := range strings.FieldsSeq(text) {
		who, when, _ := strings.Cut(word, "@")
		seconds, err := time.ParseDuration(when + "s")
		if err != nil {
			t.Fatal(err)
		}
		f := Frame{
			Time: epoch.Add(seconds), LAN: Public, Kind: Advertisement, VRID: 56, Priority: 100,
			Interval: time.Second, Source: netip.MustParseAddr(addresses[who[0]]),
		}
		if strings.HasSuffix(who, "!") {
			f.Priority = 0
		}
		frames = append(frames, f)
	}
	return frames
}

// TestSimultaneousActives tells harmless meetings of two routers from double
// ownership.
func TestSimultaneousActives(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		frames string
		want   []string // "old>new from-to late", in seconds
	}{
		{name: "nothing"},
		{name: "one alone", frames: "a@0 a@1 a@2 a@3"},
		{name: "one silent, the other takes over", frames: "a@0 a@1 b@4.6 b@5.6 b@6.6"},
		{name: "one gives up", frames: "a@0 a@1 a!@1.5 b@2.1 b@3.1"},
		{name: "the old one returns and preempts", frames: "a@0 b@4 b@5 b@6 a@6.5 a@7.5 a@8.5"},
		{name: "packets cross", frames: "a@0 a@1 b@1.9 a@2 b@2.9 b@3.9"},
		{name: "packets cross, and a last word", frames: "a@0 a@1 b@1.9 a@2 a@2.05 b@2.9 b@3.9"},
		{name: "two last words", frames: "a@0 a@1 b@1.9 a@2 a@2.05 a@2.5 b@2.9 b@3.9", want: []string{"a>b 1.9-2.5 2"}},
		{name: "a false start, answered", frames: "a@0 a@1 b@1.9 a@1.91 a@2.91 a@3.91"},
		{name: "priority 0, back within an interval", frames: "a@0 b@0.5 b!@0.9 a@1.5 a@2.5 a@3.5"},
		{name: "both for ever", frames: "a@0 a@1 b@1.5 a@2 b@2.5 a@3 b@3.5 a@4", want: []string{"a>b 1.5-3.5 2"}},
		{name: "both, at different rates", frames: "a@0 a@0.5 b@0.7 a@1 a@1.5 b@1.7 a@2 a@2.5 b@2.7", want: []string{"a>b 0.7-2.5 4"}},
		{name: "both for a while", frames: "a@0 a@1 b@1.5 a@2 b@2.5 a@3 b@3.5 b@4.5 b@5.5", want: []string{"a>b 1.5-3 2"}},
		{name: "both, then the new one gives in", frames: "a@0 b@0.5 a@1 b@1.5 a@2 b@2.5 a@3 a@4 a@5", want: []string{"a>b 0.5-2.5 2"}},
		{name: "three", frames: "a@0 b@0.1 c@0.2 a@1 b@1.1 c@1.2 a@2 b@2.1 c@2.2",
			want: []string{"a>b 0.1-2 2", "a>c 0.2-2 2", "b>c 0.2-2.1 2"}},
		{name: "twice", frames: "a@0 b@0.5 a@1 b@1.5 a@2 b@2.5 a!@2.6 b@3.5 b@4.5 b@5.5 b@6.5 a@6.6 b@7.5 a@7.6 b@8.5 a@8.6",
			want: []string{"a>b 0.5-2 2", "b>a 6.6-8.5 2"}},
	}
	names := map[string]string{"192.168.56.11": "a", "192.168.56.12": "b", "192.168.56.13": "c"}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, o := range SimultaneousActives(conversation(t, tt.frames)) {
				if o.LAN != Public || o.VRID != 56 {
					t.Errorf("on %s VRID %d, want %s VRID 56", o.LAN, o.VRID, Public)
				}
				got = append(got, fmt.Sprintf("%s>%s %v-%v %d", names[o.Old.String()], names[o.New.String()],
					o.From.Sub(epoch).Seconds(), o.To.Sub(epoch).Seconds(), o.Late))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.frames, diff)
			}
		})
	}
}

// TestSimultaneousActivesApart keeps apart what has nothing to do with each
// other: LANs, VRIDs, families, and frames that are no advertisements.
func TestSimultaneousActivesApart(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*Frame) // of the frames of b
		want   int
	}{
		{"the same router", func(*Frame) {}, 1},
		{"another LAN", func(f *Frame) { f.LAN = Internal }, 0},
		{"another VRID", func(f *Frame) { f.VRID = 57 }, 0},
		{"another family", func(f *Frame) { f.Source = netip.MustParseAddr("fe80::2") }, 0},
		{"another kind", func(f *Frame) { f.Kind = GratuitousARP }, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			frames := conversation(t, "a@0 b@0.5 a@1 b@1.5 a@2 b@2.5 a@3 b@3.5")
			for i := 1; i < len(frames); i += 2 {
				tt.change(&frames[i])
			}
			if got := len(SimultaneousActives(frames)); got != tt.want {
				t.Errorf("%d overlaps, want %d", got, tt.want)
			}
		})
	}
}

// TestOverlapString is the sentence that a failing test prints.
func TestOverlapString(t *testing.T) {
	t.Parallel()
	o := SimultaneousActives(conversation(t, "a@0 b@0.5 a@1 b@1.5 a@2 b@2.5"))[0]
	const want = "public VRID 56: 192.168.56.11 went on for 1.5s and 2 advertisements after 192.168.56.12 became active"
	if got := o.String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestOneActiveAtATime draws successions of routers of which each is silent
// once the next one has begun: never an overlap. With an intruder that
// advertises all the time there always is one.
func TestOneActiveAtATime(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		source := netip.MustParseAddr("192.168.56.1")
		now := epoch
		var frames []Frame
		advertise := func(from netip.Addr, priority uint8) {
			frames = append(frames, Frame{Time: now, LAN: Public, Kind: Advertisement, VRID: 1,
				Priority: priority, Source: from, Interval: time.Second})
		}
		intruder := rapid.Bool().Draw(rt, "intruder")
		for range rapid.IntRange(1, 5).Draw(rt, "reigns") {
			source = source.Next()
			for range rapid.IntRange(3, 6).Draw(rt, "advertisements") {
				advertise(source, 100)
				now = now.Add(time.Second / 2)
				if intruder {
					advertise(netip.MustParseAddr("192.168.56.200"), 50)
				}
				now = now.Add(time.Second / 2)
			}
			if rapid.Bool().Draw(rt, "resigns") {
				advertise(source, 0)
			}
		}
		got := SimultaneousActives(frames)
		if (len(got) > 0) != intruder {
			rt.Fatalf("intruder: %v; overlaps: %v", intruder, got)
		}
	})
}
