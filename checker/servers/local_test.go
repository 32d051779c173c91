//go:build servers

package servers

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"bascule/checker"
)

// TestPing holds checks against the kernel, which answers unless it is told
// not to.
func TestPing(t *testing.T) {
	const ignore = "/proc/sys/net/ipv4/icmp_echo_ignore_all"
	run(t, clause{"ping", 0, checker.Ping{}, ""})
	if err := os.WriteFile(ignore, []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	_, err := probe(t, 0, checker.Ping{}, impatience)
	wantReason(t, err, "timed out after 1s")
	if err := os.WriteFile(ignore, []byte("0"), 0); err != nil {
		t.Fatal(err)
	}
	run(t, clause{"again", 0, checker.Ping{}, ""})
	c, err := checker.New(checker.Spec{
		Target: netip.AddrPortFrom(netip.IPv6Loopback(), 0), Probe: checker.Ping{},
		Interval: patience, Timeout: patience, Rise: 1, Fall: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Check(t.Context())
	wantReason(t, err, "")
}

// TestScript holds checks by a program that is made for it, of PostgreSQL.
func TestScript(t *testing.T) {
	t.Parallel()
	p := newPostgres(t)
	ready := func(arguments ...string) checker.Script {
		argv := append([]string{p.program + "/pg_isready", "-h", "127.0.0.1", "-p", portText(p.port)}, arguments...)
		return checker.Script{Argv: checker.NewStrings(argv...), User: "nobody"}
	}
	weight := ready()
	weight.Weight = true
	shell := checker.Script{User: "nobody", Env: checker.NewStrings("PROGRAM=" + p.program + "/pg_isready"),
		Argv: checker.NewStrings("/bin/sh", "-c", `exec "$PROGRAM" -h "$BASCULE_ADDRESS" -p "$BASCULE_PORT"`)}
	s := p.start(t)
	run(t,
		clause{"ready", p.port, ready(), ""},
		clause{"by a shell", p.port, shell, ""},
		clause{"wrong option", p.port, ready("--wrong"), "~script exited with status 3: .*unrecognized option '--wrong'"},
	)
	pgQuit(s)
	run(t, clause{"ended", p.port, shell, "~script exited with status 2: .*no response"})
	standby := write(t, p.data(), "standby.signal", "")
	s = p.begin(t).says("entering standby mode")
	run(t, clause{"starting", p.port, ready(), "~script exited with status 1: .*rejecting connections"})
	s.stop()
	advice, err := probe(t, p.port, weight, patience) // it waits for 3 s and ends with 2
	wantReason(t, err, "")
	if want := (checker.Weight{Set: true}); advice.Weight != want {
		t.Errorf("weight %+v, wanted %+v", advice.Weight, want)
	}
	_, err = probe(t, p.port, ready("--timeout=0"), impatience) // it would wait for ever
	wantReason(t, err, "killed after 1s")
	prepare(t, nobody, p.dir, "rm", standby)
}

// TestFile holds checks of a file that others write and remove.
func TestFile(t *testing.T) {
	t.Parallel()
	dir := workspace(t, nobody)
	path := filepath.Join(dir, "state")
	file := func(wanted string) checker.File { return checker.File{Path: path, Wanted: wanted} }
	run(t,
		clause{"missing", 0, file(checker.FileExists), "there is no " + path},
		clause{"no flag", 0, file(checker.FileMissing), ""},
	)
	prepare(t, nobody, dir, "sh", "-c", "echo 'maint # new disks' >new && mv new state")
	run(t,
		clause{"exists", 0, file(checker.FileExists), ""},
		clause{"flag", 0, file(checker.FileMissing), "~.*state.*"},
		clause{"maintenance", 0, file(checker.FileContent), "~.*maint.*new disks.*"},
	)
	prepare(t, nobody, dir, "sh", "-c", "echo '75%' >new && mv new state")
	advice, err := probe(t, 0, file(checker.FileContent), patience)
	wantReason(t, err, "")
	if want := (checker.Weight{Set: true, Value: 75, Percent: true}); advice.Weight != want {
		t.Errorf("weight %+v, wanted %+v", advice.Weight, want)
	}
}
