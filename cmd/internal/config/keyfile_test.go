package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bascule/vrrp"
)

// Two secrets of the tests, in hexadecimal.
const (
	secret1 = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
	secret2 = "FFFEFDFCFBFAF9F8F7F6F5F4F3F2F1F0"
)

// signedNode returns the only node of a configuration that signs two groups
// with the keys of one file, the first with the given key.
func signedNode(t *testing.T, path string, active int) *Node {
	t.Helper()
	const text = `nodes = ["a"]
[group.one]
priority = 100
authentication = { key_file = %q, active_key = %d }
router.r = { interface = "eth0", vrid = 1, addresses = ["192.0.2.1/24"] }
router.s = { interface = "eth0", vrid = 1, addresses = ["fe80::1/64"] }
[group.two]
priority = 100
router.r = { interface = "eth0", vrid = 2, addresses = ["192.0.2.2/24"] }
[group.three]
priority = 100
authentication = { key_file = %q, active_key = 1 }
router.r = { interface = "eth0", vrid = 3, addresses = ["192.0.2.3/24"] }
`
	c, err := Parse([]File{{"bascule.toml", fmt.Sprintf(text, path, active, path)}})
	if err != nil {
		t.Fatal(err)
	}
	node, err := c.ForNode("a")
	if err != nil {
		t.Fatal(err)
	}
	return node
}

// keyFile writes a key file that only its owner may read.
func keyFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "web.keys")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// The keys get to all virtual routers of the groups that sign, and to no
// others.
func TestReadKeys(t *testing.T) {
	path := keyFile(t, "# rolled over in May\n1 "+secret1+"\n\n\t255\t"+secret2+"  # the next\r\n")
	node := signedNode(t, path, 255)
	if err := node.ReadKeys(os.Getuid()); err != nil {
		t.Fatal(err)
	}
	var one, two []byte
	for i := range 32 {
		one = append(one, byte(i))
	}
	for i := range 16 {
		two = append(two, byte(0xff-i))
	}
	want := []vrrp.Key{{ID: 1, Secret: one}, {ID: 255, Secret: two}}
	for g, signs := range []bool{true, false, true} {
		for _, r := range node.Groups[g].Routers {
			if (r.Auth != nil) != signs {
				t.Errorf("%s of group %d: authentication %v", r.Name, g, r.Auth)
			} else if signs {
				if diff := cmp.Diff(want, r.Auth.Keys); diff != "" {
					t.Errorf("keys of %s (-want +got):\n%s", r.Name, diff)
				}
			}
		}
	}
}

// A file that is malformed is refused with each of its lines, and without a
// word of a secret.
func TestReadKeysRefusesText(t *testing.T) {
	const here = "bascule.toml:4: group.one.authentication.key_file: FILE "
	tests := []struct {
		name, text, want string
	}{
		{"empty", "", "FILE: has no keys"},
		{"comments only", "# 1 " + secret1, "FILE: has no keys"},
		{"without the active key", "1 " + secret1 + "\n3 " + secret2, here + "has no key 2, which active_key names: there are 1, 3"},
		{"no identifier", secret1 + "\n", "FILE:1: has 1 words"},
		{"identifier 0", "0 " + secret1, "FILE:1: does not begin with the identifier"},
		{"identifier 256", "256 " + secret1, "FILE:1: does not begin with the identifier"},
		{"the other way round", secret1 + " 1", "FILE:1: does not begin with the identifier"},
		{"three words", "2 " + secret1 + " " + secret2, "FILE:1: has 3 words"},
		{"not hexadecimal", "2 " + secret1[1:] + "g", "FILE:1: the secret of key 2 is not an even number of hexadecimal digits"},
		{"odd", "2 " + secret1[1:], "FILE:1: the secret of key 2 is not an even number"},
		{"short", "2 " + secret2[2:], "FILE:1: the secret of key 2 has 15 bytes: 16 to 128"},
		{"long", "2 " + strings.Repeat("ab", 129), "FILE:1: the secret of key 2 has 129 bytes"},
		{"twice", "2 " + secret1 + "\n\n2 " + secret2, "FILE:3: key 2 is given twice: also at line 1"},
		{"the same secret", "1 " + secret2 + "\n2 " + strings.ToLower(secret2), "FILE:2: key 2 has the secret of another key"},
		{"several mistakes", "1\n2 zz", "FILE:2: the secret of key 2 is not"},
		{"an endless line", strings.Repeat("0", 1<<17), "FILE:1: the line is too long"},
		{"not a text", "\x7fELF\x02\x01\x01\x00\n" + secret1, "FILE:1: has 1 words"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := keyFile(t, test.text)
			err := signedNode(t, path, 2).ReadKeys(os.Getuid())
			if err == nil {
				t.Fatal("no error")
			}
			got := strings.ReplaceAll(err.Error(), path, "FILE")
			if !strings.Contains(got, test.want) {
				t.Errorf("got %s, want %s", got, test.want)
			}
			for _, secret := range []string{secret1[8:24], secret2[8:24], strings.ToLower(secret2[8:24]), strings.Repeat("ab", 8)} {
				if strings.Contains(got, secret) {
					t.Errorf("a secret is in the error %s", got)
				}
			}
		})
	}
}

// A file that others may have read or written is refused, with the place that
// names it, the reason and the remedy.
func TestReadKeysRefusesFile(t *testing.T) {
	good := "1 " + secret1 + "\n"
	chmod := func(mode os.FileMode) func(string) error {
		return func(path string) error { return os.Chmod(path, mode) }
	}
	const stranger = 4711
	tests := []struct {
		name    string
		prepare func(path string) error
		uid     int
		want    string // in the error; "": none
	}{
		{"0600", chmod(0o600), 0, ""},
		{"0400", chmod(0o400), 0, ""},
		{"readable for the group", chmod(0o640), 0, "has mode 0640, and only its owner may have access to secrets (0600 or 0400): chmod 600 FILE"},
		{"readable for all", chmod(0o604), 0, "has mode 0604"},
		{"executable", chmod(0o700), 0, "has mode 0700"},
		{"set-user-id", chmod(0o600 | os.ModeSetuid), 0, "has mode 0600"},
		{"of a stranger", func(path string) error { return os.Chown(path, stranger, 0) }, 0,
			"belongs to user 4711, who is neither root nor the user of the daemon: chown root FILE"},
		{"of the daemon's user", func(path string) error { return os.Chown(path, stranger, 0) }, stranger, ""},
		{"of root, for another user", chmod(0o600), stranger, ""},
		{"missing", os.Remove, 0, "cannot be read: no such file or directory"},
		{"a directory", func(path string) error {
			return errorsOf(os.Remove(path), os.Mkdir(path, 0o600))
		}, 0, "is no regular file"},
		{"a pipe that nobody writes", func(path string) error {
			return errorsOf(os.Remove(path), syscall.Mkfifo(path, 0o600))
		}, 0, "is no regular file"},
		{"a link to a good one", func(path string) error {
			return errorsOf(os.Rename(path, path+".real"), os.Symlink(path+".real", path))
		}, 0, ""},
		{"a link to a bad one", func(path string) error {
			return errorsOf(os.Rename(path, path+".real"), os.Symlink(path+".real", path), os.Chmod(path, 0o644))
		}, 0, "has mode 0644"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := keyFile(t, good)
			if err := test.prepare(path); err != nil {
				t.Fatal(err)
			}
			err := signedNode(t, path, 1).ReadKeys(test.uid)
			switch {
			case test.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case test.want == "":
			case err == nil:
				t.Error("accepted")
			default:
				got := strings.ReplaceAll(err.Error(), path, "FILE")
				for _, at := range []string{"bascule.toml:4: group.one.authentication.key_file: FILE ", "bascule.toml:12: group.three.authentication.key_file: FILE "} {
					if !strings.Contains(got, at+test.want) {
						t.Errorf("got %s, want %s", got, at+test.want)
					}
				}
			}
		})
	}
}

// errorsOf returns the first error.
func errorsOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// Whatever a key file contains: no panic, and keys that keep the rules or an
// error that repeats nothing of the text but small numbers.
func FuzzParseKeys(f *testing.F) {
	f.Add("1 " + secret1 + "\n2 " + secret2 + " # two\n")
	f.Add("1 " + secret1 + "\n1 " + secret1 + "\n")
	f.Add("\x00 #\n999 ff\n\n# only a comment")
	f.Fuzz(func(t *testing.T, text string) {
		keys, errs := parseKeys("k", strings.NewReader(text))
		if len(keys) == 0 && len(errs) == 0 {
			t.Error("neither keys nor errors")
		}
		ids := map[uint8]bool{}
		for _, k := range keys {
			if k.ID == 0 || ids[k.ID] || len(k.Secret) < minSecret || len(k.Secret) > maxSecret {
				t.Errorf("key %d with a secret of %d bytes", k.ID, len(k.Secret))
			}
			ids[k.ID] = true
		}
		for _, word := range strings.Fields(text) {
			if len(word) >= minSecret && !strings.Contains(wordsOfRules, word) && strings.Contains(errs.Error(), word) {
				t.Errorf("%q is in the errors %v", word, errs)
			}
		}
	})
}

// wordsOfRules are what errors about key files consist of apart from numbers.
const wordsOfRules = "hexadecimal identifier"

// What the unit has other directories for is told from what only looks like it.
func TestHiddenFromUnit(t *testing.T) {
	for path, want := range map[string]string{
		"/etc/bascule/web.keys": "", "/rooted/web.keys": "", "/srv/tmp/web.keys": "", "/tmp/../etc/web.keys": "",
		"/root/web.keys": "/root:", "/home/alice/web.keys": "/home:", "/run/user/0/web.keys": "/run/user:",
		"/tmp/web.keys": "/tmp:", "/var/tmp/web.keys": "/var/tmp:", "/etc/../root/web.keys": "/root:",
	} {
		if got := hiddenFromUnit(path); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}
