package checker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"bascule/checker/internal/ordinary"
)

// launched runs a request until it ends, or the context does.
func launched(ctx context.Context, t *testing.T, request launchRequest) outcome {
	t.Helper()
	text, err := json.Marshal(request)
	if err != nil {
		t.Error(err)
		return outcome{}
	}
	report, err := launch(ctx, text, func() {})
	if err != nil {
		t.Error(err)
		return outcome{}
	}
	return parseReport(report)
}

// shellRequest is what runs a text in a shell.
func shellRequest(user, group, text string) launchRequest {
	return launchRequest{User: user, Group: group, Argv: []string{"/bin/sh", "-c", text}, Env: []string{"PATH=/usr/bin:/bin", "LANG=C", "X=a b"}}
}

// onThread runs f on a thread of its own, which is thrown away.
func onThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked
		f()
	}()
	<-done
}

// A script has none of what makes the daemon more than an ordinary program.
func TestLaunchAsNobody(t *testing.T) {
	// Less than 0, as the daemon has, takes more than being root.
	if err := os.WriteFile("/proc/self/oom_score_adj", []byte("500"), 0); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.WriteFile("/proc/self/oom_score_adj", []byte("0"), 0) }()
	defer syscall.Umask(syscall.Umask(0o027))
	t.Setenv("SECRET", "1")
	leak, err := syscall.Open("/etc/hostname", syscall.O_RDONLY, 0) // without O_CLOEXEC
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Close(leak) }()
	tests := []struct{ name, text, want string }{
		{"its launcher", "cat /proc/$PPID/comm", "bascule-script\n"},
		{"users", "grep ^Uid: /proc/self/status", "Uid:\t65534\t65534\t65534\t65534\n"},
		{"groups", "grep ^Gid: /proc/self/status", "Gid:\t65534\t65534\t65534\t65534\n"},
		{"supplementary groups", "id -G", "65534\n"},
		{"capabilities", "grep -E '^Cap(Inh|Prm|Eff|Amb)' /proc/self/status", "CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapAmb:\t0000000000000000\n"},
		{"no way to more", "grep ^NoNewPrivs: /proc/self/status", "NoNewPrivs:\t1\n"},
		{"scheduling", "set -- $(cat /proc/self/stat); shift 17; echo $1 $2 ${23} ${24}", "20 0 0 0\n"}, // priority, nice, rt_priority, policy
		{"shortage of memory", "cat /proc/self/oom_score_adj", "0\n"},
		{"environment", "env | sort", "LANG=C\nPATH=/usr/bin:/bin\nPWD=/\nX=a b\n"},
		{"directory", "pwd", "/\n"},
		{"umask", "umask", "0022\n"},
		{"processes", "grep '^Max processes' /proc/self/limits | tr -s ' '", "Max processes 2048 2048 processes \n"},
		{"standard input", "readlink /proc/self/fd/0; cat", "/dev/null\n"},
		{"descriptors", "ls /proc/$$/fd", "0\n1\n2\n"},
		{"session", "set -- $(cat /proc/$$/stat); [ $5 = $$ ] && [ $6 = $$ ] && echo $7", "0\n"}, // group, session, terminal
		{"signals", "grep -E '^Sig(Ign|Blk)' /proc/self/status", "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n"},
	}
	signal.Ignore(syscall.SIGHUP) // as nohup does
	defer signal.Reset(syscall.SIGHUP)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			onThread(func() {
				realTime(t)
				got := launched(t.Context(), t, shellRequest("nobody", "", test.text))
				if got.kind != outcomeExit || got.number != 0 || got.output != test.want {
					t.Errorf("%s %d: %q, want %q", got.kind, got.number, got.output, test.want)
				}
			})
		})
	}
}

// realTime makes this thread what the daemon's are: SCHED_RR, with an ambient
// capability, and nicer than others by less than nothing.
func realTime(t *testing.T) {
	t.Helper()
	priority := struct{ value int32 }{1}
	if _, _, errno := syscall.Syscall(unix.SYS_SCHED_SETSCHEDULER, 0, unix.SCHED_RR, uintptr(unsafe.Pointer(&priority))); errno != 0 {
		t.Errorf("sched_setscheduler: %v", errno)
	}
	if err := syscall.Setpriority(unix.PRIO_PROCESS, 0, -5); err != nil {
		t.Errorf("setpriority: %v", err)
	}
	header, data, err := ordinary.Capabilities()
	if err == nil {
		data[0].Inheritable |= 1 << unix.CAP_NET_ADMIN
		err = unix.Capset(&header, &data[0])
	}
	if err == nil {
		err = unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, unix.CAP_NET_ADMIN, 0, 0)
	}
	if err != nil {
		t.Errorf("capabilities: %v", err)
	}
}

// A group that is named takes the place of the user's own; root is root, and
// gains nothing.
func TestLaunchAccounts(t *testing.T) {
	for _, test := range []struct{ user, group, text, want string }{
		{"nobody", "daemon", "id -u; id -g; id -G", "65534\n1\n1 65534\n"},
		{"daemon", "", "id -u; id -g; id -G", "1\n1\n1\n"},
		{"root", "", "id -u; id -g; grep ^NoNewPrivs: /proc/self/status", "0\n0\nNoNewPrivs:\t1\n"},
		{"root", "daemon", "id -u; id -g", "0\n1\n"},
	} {
		got := launched(t.Context(), t, shellRequest(test.user, test.group, test.text))
		if got.kind != outcomeExit || got.number != 0 || got.output != test.want {
			t.Errorf("%s:%s: %s %d: %q, want %q", test.user, test.group, got.kind, got.number, got.output, test.want)
		}
	}
}

// Without the capabilities that it takes, a script does not run at all, rather
// than as root or without an end.
func TestLaunchWithoutCapabilities(t *testing.T) {
	for number, name := range map[uintptr]string{unix.CAP_SETUID: "CAP_SETUID", unix.CAP_SETGID: "CAP_SETGID", unix.CAP_KILL: "CAP_KILL"} {
		onThread(func() {
			if err := unix.Prctl(unix.PR_CAPBSET_DROP, number, 0, 0, 0); err != nil {
				t.Error(err)
				return
			}
			got := launched(t.Context(), t, shellRequest("nobody", "", "id -u"))
			want := outcome{kind: outcomeCannot, output: "to run as another user takes CAP_SETUID, CAP_SETGID and CAP_KILL: " + name + " is missing"}
			if got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
			// As root nothing has to be changed.
			got = launched(t.Context(), t, shellRequest("root", "", "id -u"))
			if want := (outcome{kind: outcomeExit, output: "0\n"}); got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
		})
	}
}

// A script runs in the network namespace of its check, or not at all.
func TestLaunchInNamespace(t *testing.T) {
	s := newSpace(t)
	request := shellRequest("nobody", "", "readlink /proc/self/ns/net")
	request.Namespace = s.path
	inside, err := os.Readlink(s.path)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := launched(t.Context(), t, request), (outcome{kind: outcomeExit, output: inside + "\n"}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	request.Namespace = "bascule-missing"
	want := outcome{kind: outcomeCannot, output: "network namespace /run/netns/bascule-missing does not exist on this director"}
	if got := launched(t.Context(), t, request); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	spec := scriptSpec(Script{Argv: NewStrings("/bin/sh", "-c", "readlink /proc/self/ns/net; exit 1"), User: "nobody"}, patience)
	spec.Via.Namespace = s.path
	wantError(t, check(t, spec), "script exited with status 1: "+inside)
}

// family starts processes in the background that outlive the shell: one in its
// group, one in a session of its own, one whose parent has ended, and one that
// has children again. Each makes a file named after its number, and so does
// the shell.
const family = `cd %s || exit 1
hang() { sh -c '>$$; exec sleep 1000' & }
hang
setsid sh -c '>$$; exec sleep 1000' &
(setsid sh -c '>$$; sleep 1000' </dev/null >/dev/null 2>&1 &)
setsid sh -c 'setsid sh -c ">\$\$; sleep 1000; :" & setsid sh -c "setsid sleep 1000 & >\$\$; sleep 1000" & >$$; sleep 1000' &
>$$
until [ $(ls | wc -l) = 7 ]; do sleep .01; done
`

// members returns the processes of a family.
func members(t *testing.T, dir string) []int {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, file := range files {
		if pid, err := strconv.Atoi(file.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// wantGone demands that processes are gone, without a trace.
func wantGone(t *testing.T, pids []int) {
	t.Helper()
	for _, pid := range pids {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("process %d is still there: %v", pid, err)
		}
	}
}

// Whatever a script has started ends with it, and its own status counts.
func TestLaunchEndsFamily(t *testing.T) {
	noLeak(t)
	dir := publicDir(t)
	got := launched(t.Context(), t, shellRequest("nobody", "", fmt.Sprintf(family, dir)+"echo done; exit 3"))
	if want := (outcome{kind: outcomeExit, number: 3, output: "done\n"}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	pids := members(t, dir)
	if len(pids) != 7 {
		t.Errorf("processes %v, want 7", pids)
	}
	wantGone(t, pids)
}

// A script that is called off ends with all that it has started.
func TestLaunchKillsFamily(t *testing.T) {
	noLeak(t)
	dir := publicDir(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan outcome, 1)
	go func() {
		done <- launched(ctx, t, shellRequest("nobody", "", fmt.Sprintf(family, dir)+">ready; exec sleep 1000"))
	}()
	waitFor(t, "the script", func() bool {
		_, err := os.Stat(filepath.Join(dir, "ready"))
		return err == nil
	})
	pids := members(t, dir)
	cancel()
	if got := <-done; got.kind != outcomeKilled {
		t.Errorf("%+v, want %s", got, outcomeKilled)
	}
	if len(pids) != 7 {
		t.Errorf("processes %v, want 7", pids)
	}
	wantGone(t, pids)
}

// A script does not outlive its launcher, and a launcher that is killed has no
// verdict.
func TestLaunchKilledLauncher(t *testing.T) {
	noLeak(t)
	dir := publicDir(t)
	done := make(chan error, 1)
	go func() {
		done <- check(t, scriptSpec(shell("cd "+dir+"; echo $PPID $$ >new; mv new pids; exec sleep 1000"), 3*patience))
	}()
	var launcher, script int
	waitFor(t, "the script", func() bool {
		text, _ := os.ReadFile(filepath.Join(dir, "pids"))
		_, err := fmt.Sscan(string(text), &launcher, &script)
		return err == nil
	})
	if err := syscall.Kill(launcher, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	wantError(t, <-done, "no verdict: cannot run /bin/sh on this director: the launcher fails:")
	waitFor(t, "the script to end", func() bool { return errors.Is(syscall.Kill(script, 0), syscall.ESRCH) })
}

// A launcher that nothing can end does not keep its check for ever.
func TestLaunchStopped(t *testing.T) {
	noLeak(t)
	dir := publicDir(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	released, done := make(chan struct{}), make(chan outcome, 1)
	text, err := json.Marshal(shellRequest("nobody", "", "cd "+dir+"; echo $PPID >new; mv new pid; exec sleep 1000"))
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		report, _ := launch(ctx, text, func() { close(released) })
		done <- parseReport(report)
	}()
	var launcher int
	waitFor(t, "the script", func() bool {
		text, _ := os.ReadFile(filepath.Join(dir, "pid"))
		_, err := fmt.Sscan(string(text), &launcher)
		return err == nil
	})
	if err := syscall.Kill(launcher, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	cancel()
	if got := <-done; got.kind != outcomeKilled {
		t.Errorf("%+v, want %s", got, outcomeKilled)
	}
	<-released
}

// Nothing is left of scripts: no descriptors, no children, no slots.
func TestScriptLeavesNothing(t *testing.T) {
	noLeak(t)
	run := func(text, want string, timeout time.Duration) {
		wantError(t, check(t, scriptSpec(shell(text), timeout)), want)
	}
	run("exit 0", "", patience) // opens what the runtime keeps
	before := descriptors(t)
	for range 5 {
		run("exit 0", "", patience)
		run("sleep 1000 & exit 1", "script exited with status 1", patience)
		run("sleep 1000", "killed after 50ms", 50*time.Millisecond)
	}
	if after := descriptors(t); after > before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
	children, err := childrenOf(os.Getpid())
	if err != nil || len(children) != 0 {
		t.Errorf("children %v, error %v", children, err)
	}
	if n := len(scriptSlots); n != 0 {
		t.Errorf("%d slots are taken", n)
	}
}

// Want of descriptors is this director's fault, and costs no slot.
func TestScriptWithoutDescriptors(t *testing.T) {
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	none := syscall.Rlimit{Cur: 0, Max: before.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	err := check(t, scriptSpec(shell("exit 0"), patience))
	if restore := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); restore != nil {
		t.Fatal(restore)
	}
	wantError(t, err, "no verdict: cannot run /bin/sh on this director: pipe2: too many open files")
	if n := len(scriptSlots); n != 0 {
		t.Errorf("%d slots are taken", n)
	}
}

// A script that is called off before it has begun is no fault of anybody.
func TestScriptTooLate(t *testing.T) {
	noLeak(t)
	c, err := New(scriptSpec(shell("exit 1"), time.Second))
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancelLate := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancelLate()
	for range 10 { // a free slot and the end of the context are there at once
		_, err = c.Check(ended)
		wantError(t, err, "context canceled")
		_, err = c.Check(late)
		switch text := fmt.Sprint(err); text {
		case "killed after 1s", "script exited with status 1", "no verdict: more than 256 scripts at the same time on this director":
		default:
			t.Errorf("error %s", text)
		}
	}
}

// What is not a request is refused.
func TestLaunchRefuses(t *testing.T) {
	for request, want := range map[string]string{
		"":                                     "EOF",
		"{":                                    "unexpected EOF",
		"null":                                 "no program",
		`{"User":"nobody","Argv":[],"Env":[]}`: "no program",
	} {
		_, err := launchScript(strings.NewReader(request))
		wantError(t, err, want)
	}
}

func TestParseReport(t *testing.T) {
	tests := map[string]outcome{
		"exit 0\n":                 {kind: outcomeExit},
		"exit 255\nno\nyes\n":      {kind: outcomeExit, number: 255, output: "no\nyes\n"},
		"signal 9\n":               {kind: outcomeSignal, number: 9},
		"killed 0\nhalf":           {kind: outcomeKilled, output: "half"},
		"cannot 0\nno such user":   {kind: outcomeCannot, output: "no such user"},
		"":                         {kind: outcomeCannot, output: "the launcher fails: "},
		"exit 0":                   {kind: outcomeCannot, output: "the launcher fails: exit 0"},
		"exit 256\n":               {kind: outcomeCannot, output: "the launcher fails: exit 256"},
		"exit -1\n":                {kind: outcomeCannot, output: "the launcher fails: exit -1"},
		"exit\n":                   {kind: outcomeCannot, output: "the launcher fails: exit"},
		"panic: oops\n\ngoroutine": {kind: outcomeCannot, output: "the launcher fails: panic: oops"},
		"Error: unknown command\n": {kind: outcomeCannot, output: "the launcher fails: Error: unknown command"},
	}
	for report, want := range tests {
		if got := parseReport([]byte(report)); got != want {
			t.Errorf("%q: %+v, want %+v", report, got, want)
		}
	}
}

// A report is read as what it was, and one that is none as no verdict.
func FuzzParseReport(f *testing.F) {
	for _, report := range []string{"exit 0\n", "signal 9\nx", "killed 0\n", "cannot 0\nwhy", "", "panic: \xff\n"} {
		f.Add([]byte(report))
	}
	f.Fuzz(func(t *testing.T, report []byte) {
		o := parseReport(report)
		if o.number < 0 || o.number > 255 {
			t.Errorf("%q: %+v", report, o)
		}
		if again := parseReport(o.report()); again != o {
			t.Errorf("%q: %+v, and then %+v", report, o, again)
		}
		c := &scriptChecker{program: "/x", weight: true, timeout: time.Second}
		if o.kind == outcomeKilled {
			return
		}
		advice, err := c.verdict(o)
		if w := advice.Weight; w.Value < 0 || w.Value > maxWeight || err != nil && advice != (Advice{}) {
			t.Errorf("%q: advice %+v, error %v", report, advice, err)
		}
		if o.kind == outcomeCannot && blindness(err) == "" {
			t.Errorf("%q: error %v has a verdict", report, err)
		}
	})
}

func TestParentIn(t *testing.T) {
	for stat, want := range map[string]int{
		"7 (sh) S 5 7 7":             5,
		"7 (a) S 1 (b) c) S 5 7 7":   5,
		"7 (x\n) y) R 123456 7 7\n":  123456,
		"":                           0,
		"7 (sh) S":                   0,
		"7 (sh) S x":                 0,
		strings.Repeat(")", 10) + "": 0,
	} {
		if got := parentIn([]byte(stat)); got != want {
			t.Errorf("%q: %d, want %d", stat, got, want)
		}
	}
}

func TestFirstBytes(t *testing.T) {
	f := &firstBytes{}
	for range 100 {
		if n, err := f.Write(make([]byte, 1000)); n != 1000 || err != nil {
			t.Fatalf("%d bytes written, error %v", n, err)
		}
	}
	if len(f.kept) != maxOutput {
		t.Errorf("%d bytes kept, want %d", len(f.kept), maxOutput)
	}
}
