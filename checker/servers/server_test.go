//go:build servers

package servers

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// account runs servers: whoever it is, it is nobody, or a user of a package
// whose server insists.
type account struct{ uid, gid uint32 }

// nobody may do nothing.
var nobody = account{65534, 65534}

// accountOf is the user that a package has made for its server.
func accountOf(t *testing.T, name string) account {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return account{uint32(uid), uint32(gid)}
}

// workspace is a directory of a user, with a short path for sockets.
func workspace(t *testing.T, owner account) string {
	t.Helper()
	dir, err := os.MkdirTemp("/run", "server-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, int(owner.uid), int(owner.gid)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// write writes a file that everybody may read, and returns its path. In its
// text each "@NAME@" is replaced.
func write(t *testing.T, dir, name, text string, values ...any) string {
	t.Helper()
	var pairs []string
	for i := 0; i < len(values); i += 2 {
		pairs = append(pairs, fmt.Sprintf("@%s@", values[i]), fmt.Sprint(values[i+1]))
	}
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.NewReplacer(pairs...).Replace(text)), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// lastPort is the last port that a test took.
var lastPort atomic.Uint32

// newPort returns a port that no other test has, and that no client gets.
func newPort() uint16 { return uint16(20000 + lastPort.Add(1)) }

// server is a process with all that it starts, in a process group.
type server struct {
	t      *testing.T
	cmd    *exec.Cmd
	log    string // the file with its output
	exited chan struct{}
}

// command is a program as a user, in a directory, that writes to a file.
func command(t *testing.T, as account, dir, log string, argv ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + dir, "TMPDIR=" + dir, "LANG=C.UTF-8", "TZ=UTC"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: &syscall.Credential{Uid: as.uid, Gid: as.gid}}
	file, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	// Servers that open /dev/stderr for themselves need it to be theirs.
	if err := os.Chown(log, int(as.uid), int(as.gid)); err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = file, file
	return cmd
}

// prepare runs a program to its end, which must be a good one.
func prepare(t *testing.T, as account, dir string, argv ...string) {
	t.Helper()
	log := filepath.Join(dir, "prepare.log")
	if err := command(t, as, dir, log, argv...).Run(); err != nil {
		text, _ := os.ReadFile(log)
		t.Fatalf("%q: %v\n%s", argv, err, text)
	}
}

// start starts a server, and shows its log if the test fails.
func start(t *testing.T, as account, dir string, argv ...string) *server {
	t.Helper()
	log := filepath.Join(dir, fmt.Sprintf("log.%d", time.Now().UnixNano()))
	s := &server{t: t, cmd: command(t, as, dir, log, argv...), log: log, exited: make(chan struct{})}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = s.cmd.Wait()
		close(s.exited)
	}()
	t.Cleanup(func() {
		s.kill()
		if t.Failed() {
			t.Logf("%q has written:\n%s", argv, s.written())
		}
	})
	return s
}

// signal signals all processes of the server.
func (s *server) signal(number syscall.Signal) { _ = syscall.Kill(-s.cmd.Process.Pid, number) }

// stop stops all threads of the server, of which one may be at work meanwhile.
func (s *server) stop() {
	s.t.Helper()
	s.signal(syscall.SIGSTOP)
	s.await("all threads stopped", func() bool {
		threads, err := filepath.Glob("/proc/[0-9]*/task/[0-9]*/stat")
		if err != nil {
			s.t.Fatal(err)
		}
		return !slices.ContainsFunc(threads, s.running)
	})
}

// running is whether a thread, given by its file in /proc, is one of the server
// and not stopped.
func (s *server) running(stat string) bool {
	text, err := os.ReadFile(stat)
	if err != nil {
		return false // it has ended
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest) // state, parent, group
	return len(fields) > 2 && fields[2] == strconv.Itoa(s.cmd.Process.Pid) && fields[0] != "T" && fields[0] != "Z"
}

// kill ends all processes of the server.
func (s *server) kill() {
	s.signal(syscall.SIGKILL)
	<-s.exited
}

// written is what the server has written.
func (s *server) written() string {
	text, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// await waits until something holds, as long as the server lives.
func (s *server) await(what string, holds func() bool) {
	s.t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(10 * time.Millisecond) {
		select {
		case <-s.exited:
			s.t.Fatalf("waiting for %s: the server has ended", what)
		default:
		}
		if time.Now().After(end) {
			s.t.Fatalf("waiting for %s: not within %s", what, patience)
		}
	}
}

// listens waits until there are sockets at the ports. It does not connect: the
// first visitor of a server is a probe.
func (s *server) listens(ports ...uint16) *server {
	s.t.Helper()
	for _, port := range ports {
		s.await(fmt.Sprintf("port %d", port), func() bool { return bound(port) })
	}
	return s
}

// says waits until the server has written a text.
func (s *server) says(text string) *server {
	s.t.Helper()
	s.await(strconv.Quote(text), func() bool { return strings.Contains(s.written(), text) })
	return s
}

// bound is whether a TCP socket listens at a port, or a UDP socket is there.
func bound(port uint16) bool {
	const listening, unconnected = "0A", "07"
	return inTable("tcp", port, listening) || inTable("tcp6", port, listening) ||
		inTable("udp", port, unconnected) || inTable("udp6", port, unconnected)
}

// inTable looks for a socket in a table of the kernel.
func inTable(table string, port uint16, state string) bool {
	file, err := os.Open("/proc/self/net/" + table)
	if err != nil {
		return false
	}
	defer file.Close()
	end := fmt.Sprintf(":%04X", port)
	for lines := bufio.NewScanner(file); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) > 3 && strings.HasSuffix(fields[1], end) && fields[3] == state {
			return true
		}
	}
	return false
}

// quiet runs good checks and demands that the server writes nothing of a kind
// because of them. A rude visitor afterwards, who only connects, shows that it
// would; complaint is what the server says of that.
func (s *server) quiet(complaint string, rude uint16, clauses ...clause) {
	s.t.Helper()
	before := len(s.written())
	run(s.t, clauses...)
	s.settle()
	pattern := regexp.MustCompile(complaint)
	if found := pattern.FindString(s.written()[before:]); found != "" {
		s.t.Errorf("good checks leave %q in the log", found)
	}
	resetting(s.t, loopback, rude)
	s.await("the server's complaint of a rude visitor", func() bool { return pattern.MatchString(s.written()[before:]) })
}

// resetting connects from an address, waits until the server is there, and
// resets the connection.
func resetting(t *testing.T, from netip.Addr, port uint16) {
	t.Helper()
	local := net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
	conn, err := net.DialTCP("tcp", local, net.TCPAddrFromAddrPort(netip.AddrPortFrom(loopback, port)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	time.Sleep(100 * time.Millisecond)
	_ = conn.SetLinger(0)
}

// settle waits until the server has written nothing for a moment.
func (s *server) settle() {
	const moment = 300 * time.Millisecond
	for size, since := -1, time.Now(); time.Since(since) < moment; time.Sleep(10 * time.Millisecond) {
		if now := len(s.written()); now != size {
			size, since = now, time.Now()
		}
	}
}

// portText is a port as an argument.
func portText(port uint16) string { return strconv.Itoa(int(port)) }
