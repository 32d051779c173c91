package checker

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestMain is the launcher of scripts, if this process was started as one.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == Launcher {
		_ = Launch(os.Stdin, os.Stdout)
		// The race detector puts off any other end for a second.
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	os.Exit(m.Run())
}

// shell is a script check that a shell runs as nobody.
func shell(text string) Script {
	return Script{Argv: NewStrings("/bin/sh", "-c", text), User: "nobody"}
}

// scriptSpec is a check by a script.
func scriptSpec(script Script, timeout time.Duration) Spec {
	spec := testSpec()
	spec.Probe, spec.Timeout = script, timeout
	return spec
}

func TestScript(t *testing.T) {
	noLeak(t)
	weighing := func(text string) Script {
		s := shell(text)
		s.Weight = true
		return s
	}
	program := func(argv ...string) Script { return Script{Argv: NewStrings(argv...), User: "nobody"} }
	dir := publicDir(t)
	orphan := filepath.Join(dir, "orphan")
	write(t, orphan, "#!/nowhere/interpreter\n")
	if err := os.Chmod(orphan, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "plain"), "exit 0\n")
	weight := func(value int) Advice { return Advice{Weight: Weight{Set: true, Value: value}} }
	tests := []struct {
		name   string
		script Script
		advice Advice
		want   string
	}{
		{"good", shell("exit 0"), Advice{}, ""},
		{"good, with output", shell("echo weight 5"), Advice{}, ""},
		{"failed", shell("exit 1"), Advice{}, "script exited with status 1"},
		{"failed, with a reason", shell("echo; echo ' disk full '; echo more; exit 1"), Advice{}, "script exited with status 1: disk full"},
		{"a reason on standard error", shell("echo no route >&2; exit 1"), Advice{}, "script exited with status 1: no route"},
		{"a long reason", shell("printf %0200d 7; exit 1"), Advice{}, "script exited with status 1: " + strings.Repeat("0", 80) + "…"},
		{"a reason of garbage", shell(`printf '\033[1m\377'; exit 1`), Advice{}, "script exited with status 1: ?[1m?"},
		{"another status", shell("exit 2"), Advice{}, "script exited with status 2"},
		{"a missing command", shell("exec /nowhere/x"), Advice{}, "script exited with status 127: /bin/sh: 1: exec: /nowhere/x: not found"},
		{"weight, 0", weighing("exit 0"), Advice{}, ""},
		{"weight, 1", weighing("echo weight 5; exit 1"), Advice{}, "script exited with status 1: weight 5"},
		{"weight, 2", weighing("exit 2"), weight(0), ""},
		{"weight, 12", weighing("echo weight 5; exit 12"), weight(10), ""},
		{"weight, 255", weighing("exit 255"), weight(253), ""},
		{"weight, from output", weighing("echo weight 300; echo weight 5"), weight(300), ""},
		{"drain, from output", weighing("echo drain"), Advice{Drain: true}, ""},
		{"other output", weighing("echo all is well"), Advice{}, ""},
		{"killed by somebody", shell("kill -9 $$"), Advice{}, "no verdict: /bin/sh was ended on this director by SIGKILL"},
		{"terminated by somebody", shell("kill $$"), Advice{}, "no verdict: /bin/sh was ended on this director by SIGTERM"},
		{"crashed", shell("echo oops; kill -SEGV $$"), Advice{}, "script died of SIGSEGV: oops"},
		{"a broken pipe", shell("kill -PIPE $$"), Advice{}, "script died of SIGPIPE"},
		{"missing", program("/nowhere/x"), Advice{}, "no verdict: cannot run /nowhere/x on this director: no such file or directory"},
		{"not executable", program("/etc/passwd"), Advice{}, "no verdict: cannot run /etc/passwd on this director: permission denied"},
		{"a directory", program("/etc"), Advice{}, "no verdict: cannot run /etc on this director: permission denied"},
		{"interpreter missing", program(orphan), Advice{}, "no verdict: cannot run " + orphan + " on this director: its interpreter is missing: no such file or directory"},
		{"unknown user", Script{Argv: NewStrings("/bin/true"), User: "nosuchuser"}, Advice{}, `no verdict: cannot run /bin/true on this director: there is no user "nosuchuser"`},
		{"unknown group", Script{Argv: NewStrings("/bin/true"), User: "nobody", Group: "nosuchgroup"}, Advice{}, `no verdict: cannot run /bin/true on this director: there is no group "nosuchgroup"`},
		{"arguments are no shell's", program("/bin/sh", "-c", `[ "$1" = '$(id) "a  b"' ]`, "x", `$(id) "a  b"`), Advice{}, ""},
		{"much output", shell("head -c 3000000 /dev/zero; exit 1"), Advice{}, "script exited with status 1: " + strings.Repeat("?", 80) + "…"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			advice, err := probe(t, scriptSpec(test.script, patience))
			wantError(t, err, test.want)
			if diff := cmp.Diff(test.advice, advice); diff != "" {
				t.Errorf("advice (-want +got):\n%s", diff)
			}
			var local *LocalError
			if errors.As(err, &local) != strings.HasPrefix(test.want, "no verdict: ") {
				t.Errorf("error is a %T", err)
			}
		})
	}
}

// publicDir is a directory that others than root can use.
func publicDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "script")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Of a script that takes too long, what it has said is the reason.
func TestScriptTimeout(t *testing.T) {
	noLeak(t)
	var scripts sync.WaitGroup
	for text, want := range map[string]string{
		"sleep 1000":              "killed after 5s",
		"echo locked; sleep 1000": "killed after 5s: locked",
		"trap '' TERM HUP INT; echo stubborn; while :; do sleep 1; done": "killed after 5s: stubborn",
		"echo stopped; kill -STOP $$":                                    "killed after 5s: stopped",
		"nice yes":                                                       "killed after 5s: y",
	} {
		scripts.Go(func() { wantError(t, check(t, scriptSpec(shell(text), 5*time.Second)), want) })
	}
	scripts.Wait()
}

// A script that did not have its time because others had it says nothing.
func TestScriptSlots(t *testing.T) {
	noLeak(t)
	for range maxScripts {
		scriptSlots <- struct{}{}
	}
	free := func(n int) {
		for range n {
			<-scriptSlots
		}
	}
	const crowded = "no verdict: more than 256 scripts at the same time on this director"
	wantError(t, check(t, scriptSpec(shell("exit 1"), 50*time.Millisecond)), crowded)
	time.AfterFunc(500*time.Millisecond, func() { free(1) })
	wantError(t, check(t, scriptSpec(shell("sleep 1000"), time.Second)), crowded)
	wantError(t, check(t, scriptSpec(shell("exit 1"), patience)), "script exited with status 1")
	ended, cancel := context.WithCancel(t.Context())
	scriptSlots <- struct{}{}
	cancel()
	c, err := New(scriptSpec(shell("exit 1"), patience))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Check(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	free(maxScripts)
	if n := len(scriptSlots); n != 0 {
		t.Errorf("%d slots are taken by nobody", n)
	}
}

// Scripts that hang delay no other check.
func TestScriptsHang(t *testing.T) {
	noLeak(t)
	const scripts = 100
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	dir := publicDir(t)
	ended := make(chan error, scripts)
	for range scripts {
		go func() {
			c, err := New(scriptSpec(shell("mktemp -p "+dir+"; exec sleep 1000"), time.Hour))
			if err != nil {
				ended <- err
				return
			}
			_, err = c.Check(ctx)
			ended <- err
		}()
	}
	waitFor(t, "scripts to hang", func() bool {
		running, err := os.ReadDir(dir)
		return err == nil && len(running) == scripts
	})
	target := serve(t, says("up\n"))
	wantError(t, check(t, tcpSpec(target, patience)), "")
	wantError(t, check(t, agentSpec(target, patience)), "")
	wantError(t, check(t, scriptSpec(shell("exit 0"), patience)), "")
	if n := len(ended); n != 0 {
		t.Errorf("%d scripts have ended", n)
	}
	cancel()
	for range scripts {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want %v", err, context.Canceled)
		}
	}
	waitFor(t, "slots to be free", func() bool { return len(scriptSlots) == 0 })
}

// waitFor waits until something is so.
func waitFor(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(3 * patience); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("gave up waiting for %s", what)
		}
	}
}

func TestScriptEnvironment(t *testing.T) {
	to := endpoint{AddrPort: netip.MustParseAddrPort("[2001:db8::1]:443"), timeout: 1500 * time.Millisecond}
	const always = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C BASCULE_ADDRESS=2001:db8::1 BASCULE_TIMEOUT=1.5"
	full, portless := to, to
	full.via = Via{Source: netip.MustParseAddr("2001:db8::2"), Device: "eth1", Mark: 0xffffffff}
	portless.AddrPort = netip.AddrPortFrom(to.Addr(), 0)
	for _, test := range []struct {
		to   endpoint
		want string
	}{
		{to, always + " BASCULE_PORT=443"},
		{portless, always},
		{full, always + " BASCULE_PORT=443 BASCULE_SOURCE=2001:db8::2 BASCULE_DEVICE=eth1 BASCULE_MARK=4294967295"},
	} {
		if got := strings.Join(environment(test.to), " "); got != test.want {
			t.Errorf("%s\nwant %s", got, test.want)
		}
	}
}

// What the configuration says of the environment holds, once.
func TestScriptEnvironmentOverrides(t *testing.T) {
	script := shell(`env | grep -E "^(PATH|LANG|X)=" | sort | tr "\n" " "; exit 1`)
	script.Env = NewStrings("X=1", "PATH=/bin:/usr/bin", "X=2")
	wantError(t, check(t, scriptSpec(script, patience)), "script exited with status 1: LANG=C PATH=/bin:/usr/bin X=2")
}

func TestParseAdvice(t *testing.T) {
	for output, want := range map[string]Advice{
		"":                   {},
		"drain\n":            {Drain: true},
		" drain \nweight 1":  {Drain: true},
		"weight 0":           {Weight: Weight{Set: true}},
		"weight  75% \r\n":   {Weight: Weight{Set: true, Value: 75, Percent: true}},
		"weight 65536":       {},
		"weight":             {},
		"weight 5 drain":     {},
		"the weight 5":       {},
		"5":                  {},
		"\nweight 5":         {},
		"draining":           {},
		"weight -5":          {},
		"weight 5\x00":       {},
		"Weight 5":           {},
		"drain # 5 sessions": {},
	} {
		if got := parseAdvice(output); got != want {
			t.Errorf("%q: %+v, want %+v", output, got, want)
		}
	}
}

func TestScriptValidate(t *testing.T) {
	good := Script{Argv: NewStrings("/usr/lib/check", "-v"), User: "nobody", Group: "nogroup", Env: NewStrings("A=b", "C=")}
	tests := []struct {
		change func(*Script)
		want   string
	}{
		{func(*Script) {}, ""},
		{func(s *Script) { s.User, s.Group = "_check-0.x", "" }, ""},
		{func(s *Script) { s.Argv = "" }, "argv is empty: the absolute path of a program is needed, and arguments if it wants some"},
		{func(s *Script) { s.Argv = "/usr/lib/check" }, "argv: this is no list of quoted texts"},
		{func(s *Script) { s.Argv = NewStrings("check") }, `argv begins with "check", which is no absolute path: such as "/usr/local/lib/check-web"`},
		{func(s *Script) { s.Argv = NewStrings("") }, `argv begins with "", which is no absolute path: such as "/usr/local/lib/check-web"`},
		{func(s *Script) { s.Argv = NewStrings("/x", "a\x00b") }, `argv: "a\x00b" is no text: UTF-8 without NUL`},
		{func(s *Script) { s.Argv = NewStrings("/x", "\xff") }, `argv: "\xff" is no text: UTF-8 without NUL`},
		{func(s *Script) { s.Argv = NewStrings("/x", strings.Repeat("x", 16<<10)) }, "argv and env have 16401 bytes: 16384 at most"},
		{func(s *Script) { s.User = "" }, `user "" is no name of a user: such as "nobody"`},
		{func(s *Script) { s.User = "0" }, `user "0" is no name of a user: such as "nobody"`},
		{func(s *Script) { s.User = "no body" }, `user "no body" is no name of a user: such as "nobody"`},
		{func(s *Script) { s.User = "-x" }, `user "-x" is no name of a user: such as "nobody"`},
		{func(s *Script) { s.Group = "100" }, `group "100" is no name of a group: such as "nogroup"`},
		{func(s *Script) { s.Env = "A=b" }, "env: this is no list of quoted texts"},
		{func(s *Script) { s.Env = NewStrings("A") }, `env "A" is no variable: such as "NAME=value", and not BASCULE_…`},
		{func(s *Script) { s.Env = NewStrings("=b") }, `env "=b" is no variable: such as "NAME=value", and not BASCULE_…`},
		{func(s *Script) { s.Env = NewStrings("BASCULE_PORT=1") }, `env "BASCULE_PORT=1" is no variable: such as "NAME=value", and not BASCULE_…`},
	}
	for _, test := range tests {
		s := good
		test.change(&s)
		wantError(t, s.Validate(), test.want)
	}
	if kind := good.Kind(); kind != "script" {
		t.Errorf("kind %q", kind)
	}
}

func TestScriptLive(t *testing.T) {
	dir := publicDir(t)
	tests := []struct {
		script Script
		want   string
	}{
		{Script{Argv: NewStrings("/bin/sh"), User: "nobody"}, ""},
		{Script{Argv: NewStrings("/bin/sh"), User: "root"}, ""},
		{Script{Argv: NewStrings("sh"), User: "nobody"}, `argv begins with "sh", which is no absolute path: such as "/usr/local/lib/check-web"`},
		{Script{Argv: NewStrings("/nowhere/x"), User: "nobody"}, "/nowhere/x: no such file or directory"},
		{Script{Argv: NewStrings("/etc/passwd"), User: "nobody"}, "/etc/passwd: permission denied"},
		{Script{Argv: NewStrings("/bin/sh"), User: "nosuchuser"}, `there is no user "nosuchuser"`},
		{Script{Argv: NewStrings(dir), User: "root"}, filepath.Dir(dir) + " can be written by others than root, who is to run the script"},
	}
	for _, test := range tests {
		wantError(t, test.script.Live(), test.want)
	}
}
