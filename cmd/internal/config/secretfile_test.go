package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bascule/checker"
)

// checkedNode returns the only node of a configuration with one real server,
// whose check is the given one.
func checkedNode(t *testing.T, check string) *Node {
	t.Helper()
	c, err := Parse([]File{{"bascule.toml", "nodes = [\"a\"]\n[virtual_server.v]\naddress = \"192.0.2.1:80\"\ncheck = " + check +
		"\n[[virtual_server.v.real_server]]\naddress = \"198.51.100.1:80\"\n"}})
	if err != nil {
		t.Fatal(err)
	}
	node, err := c.ForNode("a")
	if err != nil {
		t.Fatal(err)
	}
	return node
}

// probes are those of the only real server.
func probes(node *Node) []checker.Probe {
	var list []checker.Probe
	vs := node.VirtualServers[0]
	for _, spec := range vs.Checks[vs.RealServers[0].Address].Specs() {
		list = append(list, spec.Probe)
	}
	return list
}

// What the files contain gets into the checks that name them, also in the parts
// of a combination, without the end of the line.
func TestReadSecrets(t *testing.T) {
	for _, content := range []string{"geheim", "geheim\n", "geheim\r\n"} {
		path := keyFile(t, content)
		node := checkedNode(t, fmt.Sprintf(
			`{ any = [{ type = "imap", user = "probe", password_file = %q }, { all = [{ type = "radius", secret_file = %q }, { type = "ftp" }] }] }`, path, path))
		if err := node.ReadKeys(os.Getuid()); err != nil {
			t.Fatal(err)
		}
		want := []checker.Probe{
			checker.IMAP{User: "probe", Password: checker.NewSecret("geheim")},
			checker.RADIUS{Secret: checker.NewSecret("geheim")},
			checker.FTP{},
		}
		for i, got := range probes(node) {
			if got != want[i] {
				t.Errorf("%q: probe %d is not as wanted: %+v", content, i, got)
			}
		}
	}
}

// A password from a file is the same as one in the configuration, and another
// one is a change.
func TestSecretsAreCompared(t *testing.T) {
	read := func(check string) *Node {
		node := checkedNode(t, check)
		if err := node.ReadKeys(os.Getuid()); err != nil {
			t.Fatal(err)
		}
		return node
	}
	path := keyFile(t, "geheim\n")
	inFile := fmt.Sprintf(`{ type = "ldap", user = "cn=x", password_file = %q }`, path)
	before := read(inFile)
	if !before.Equal(read(`{ type = "ldap", user = "cn=x", password = "geheim" }`)) {
		t.Error("a password in a file differs from the same one in the configuration")
	}
	if err := os.WriteFile(path, []byte("anders\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if before.Equal(read(inFile)) {
		t.Error("another password in the file is no change")
	}
}

// Without ReadKeys nothing is read, and nothing is wrong.
func TestSecretsAreReadOnDemand(t *testing.T) {
	node := checkedNode(t, `{ type = "radius", secret_file = "missing.secret" }`)
	if got, want := probes(node)[0], (checker.RADIUS{Secret: checker.NewSecret(standIn)}); got != want {
		t.Errorf("got %+v, want a stand-in", got)
	}
	err := node.ReadKeys(os.Getuid())
	const want = "bascule.toml:4: virtual_server.v.check.secret_file: /etc/bascule/missing.secret cannot be read: no such file or directory"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// What is wrong with a file is said with the place that names it, and never
// with what is in it.
func TestBadSecretFiles(t *testing.T) {
	tests := []struct {
		name, content string
		mode          os.FileMode
		check         string // with the path in place of %q
		want          string // behind the path
	}{
		{"others can read it", "geheim", 0o640, `{ type = "imap", user = "x", password_file = %q }`, "has mode 0640"},
		{"empty", "\n", 0o600, `{ type = "imap", user = "x", password_file = %q }`, "is empty: one line is wanted"},
		{"two lines", "geheim\ngeheim\n", 0o600, `{ type = "imap", user = "x", password_file = %q }`, "has several lines"},
		{"a NUL", "geheim\x00", 0o400, `{ type = "imap", user = "x", password_file = %q }`, "has several lines, or a NUL"},
		{"long", strings.Repeat("geheim", 1000), 0o600, `{ type = "imap", user = "x", password_file = %q }`, "has more than 4096 bytes"},
		{"not for the kind", strings.Repeat("geheim", 50), 0o600, `{ type = "radius", secret = "x", user = "x", password_file = %q }`,
			`cannot be used for a check of type "radius": password of 300 bytes: at most 128`},
		{"control characters", "geheim\tgeheim", 0o600, `{ any = [{ type = "pop3", user = "x", password_file = %q }] }`,
			`cannot be used for a check of type "pop3": password has control characters`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.password")
			if err := os.WriteFile(path, []byte(test.content), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, test.mode); err != nil {
				t.Fatal(err)
			}
			err := checkedNode(t, fmt.Sprintf(test.check, path)).ReadKeys(os.Getuid())
			var list Errors
			if !errors.As(err, &list) || len(list) != 1 {
				t.Fatalf("got %v, want one mistake", err)
			}
			e := list[0]
			if e.File != "bascule.toml" || e.Line != 4 || !strings.HasSuffix(e.Key, ".password_file") {
				t.Errorf("place %s:%d %s, want the key that names the file", e.File, e.Line, e.Key)
			}
			if !strings.HasPrefix(e.Message, path+" "+test.want) || strings.Contains(e.Message, "geheim") {
				t.Errorf("got %q, want %q behind the path", e.Message, test.want)
			}
		})
	}
}

// No message and no value prints a password, whatever is wrong with it or
// beside it.
func TestSecretsAreNotPrinted(t *testing.T) {
	for _, check := range []string{
		`{ type = "imap", password = "geheim" }`,
		`{ type = "imap", user = "x", password = "geheim\n" }`,
		`{ type = "imap", user = "x", password = ["geheim"] }`,
		`{ type = "imap", user = "x", password = "geheim", password_file = "x" }`,
		`{ type = "smtp", password = "geheim" }`,
		`{ type = "none", password = "geheim" }`,
		`{ type = "radius", sekret = "geheim" }`,
		`{ type = "radius", secret = "x", user = "x", password = "` + strings.Repeat("geheim", 50) + `" }`,
		`{ type = "http", headers = { X-Key = "geheim\n" } }`,
		`{ type = "http", headers = { Host = "geheim" } }`,
		`{ type = "http", headers = { X-Key = ["a", ["geheim"]] } }`,
		`{ type = "http", user = "x", password = "geheim", headers = { Authorization = "geheim" } }`,
		`{ type = "expect", steps = [{ send = "geheim", match = "(" }] }`,
		`{ type = "expect", steps = [{ send_hex = "geheim" }] }`,
		`{ type = "script", command = ["/x"], environment = { "A=B" = "geheim" } }`,
	} {
		_, err := Parse([]File{{"bascule.toml", "nodes = [\"a\"]\n[virtual_server.v]\naddress = \"192.0.2.1:80\"\ncheck = " + check +
			"\nreal_server = [{ address = \"198.51.100.1:80\" }]\n"}})
		if err == nil {
			t.Errorf("%s: no error", check)
			continue
		}
		for line := range strings.SplitSeq(err.Error(), "\n") {
			if _, message, _ := strings.Cut(line, "check."); strings.Contains(message, "geheim") {
				t.Errorf("%s: %s", check, line)
			}
		}
	}
	node := checkedNode(t, `{ all = [{ type = "redis", password = "geheim" }, { type = "http", headers = { X-Key = "geheim" } }, { type = "expect", steps = [{ send = "geheim" }, { expect = "geheim" }] }] }`)
	for _, probe := range probes(node) {
		if text := fmt.Sprintf("%+v %#v %v", probe, probe, probe); strings.Contains(text, "geheim") {
			t.Errorf("%s", text)
		}
	}
}
