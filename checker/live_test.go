package checker

import "testing"

// TestLive finds what this machine lacks for a check.
func TestLive(t *testing.T) {
	script := func(user, program string) Probe {
		return Script{Argv: NewStrings(program), User: user}
	}
	for _, test := range []struct {
		name string
		spec Spec
		want string // "" for nothing
	}{
		{"nothing special", Spec{Probe: TCP{}}, ""},
		{"an interface", Spec{Probe: TCP{}, Via: Via{Device: "lo"}}, ""},
		{"no interface", Spec{Probe: TCP{}, Via: Via{Device: "absent0"}}, `device "absent0": no such interface on this machine`},
		{"no namespace", Spec{Probe: TCP{}, Via: Via{Namespace: "absent"}}, "network namespace /run/netns/absent does not exist on this director"},
		{"a script", Spec{Probe: script("nobody", "/bin/true")}, ""},
		{"no user", Spec{Probe: script("absent", "/bin/true")}, `there is no user "absent"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := ""
			if err := test.spec.Live(); err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
