package checker

import (
	"crypto/tls"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pairFiles writes a client certificate and its key, and returns options with
// their paths.
func pairFiles(t *testing.T, directory string, pair tls.Certificate) TLSOptions {
	t.Helper()
	o := TLSOptions{Certificate: filepath.Join(directory, "cert.pem"), Key: filepath.Join(directory, "key.pem")}
	for path, content := range map[string][]byte{o.Certificate: certificatePEM(pair.Certificate[0]), o.Key: keyPEM(t, pair)} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

// looked is the configuration after a look at the files, however long it takes.
func looked(c *tlsClient, now time.Time) (*tls.Config, error) {
	_, _ = c.config(now)
	c.files.look.Lock()
	c.files.look.Unlock() //nolint:staticcheck // it is waited for
	return c.config(now)
}

// serial is the client certificate that a configuration shows.
func serial(t *testing.T, c *tlsClient, now time.Time) string {
	t.Helper()
	if _, err := looked(c, now); err != nil {
		t.Fatal(err)
	}
	return c.files.known.Load().certificate.Leaf.SerialNumber.String()
}

// A renewed client certificate is used after a minute at the latest, and at
// once for a new checker; what has not changed is not prepared again.
func TestTLSRenewal(t *testing.T) {
	root, directory := newAuthority(t), t.TempDir()
	first, second := root.site(t, "one"), root.site(t, "two")
	o := pairFiles(t, directory, first)
	client, err := o.client("")
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	before, err := client.config(begin)
	if err != nil {
		t.Fatal(err)
	}
	if after, _ := looked(client, begin.Add(2*lookAgain)); after != before {
		t.Error("files that are the same were prepared again")
	}
	begin = begin.Add(2 * lookAgain)
	pairFiles(t, directory, second)
	if got := serial(t, client, begin.Add(lookAgain/2)); got != first.Leaf.SerialNumber.String() {
		t.Errorf("certificate %s within the minute, want the first", got)
	}
	if got := serial(t, client, begin.Add(lookAgain)); got != second.Leaf.SerialNumber.String() {
		t.Errorf("certificate %s after a minute, want the second", got)
	}
	pairFiles(t, directory, first)
	if _, err := o.client(""); err != nil {
		t.Fatal(err)
	}
	if got := serial(t, client, time.Now()); got != first.Leaf.SerialNumber.String() {
		t.Errorf("certificate %s after a new checker, want the first", got)
	}
}

// Within a renewal the certificate is there before its key: no verdict, and
// another look soon.
func TestTLSRenewalInTwoSteps(t *testing.T) {
	root, directory := newAuthority(t), t.TempDir()
	o := pairFiles(t, directory, root.site(t, "one"))
	client, err := o.client("")
	if err != nil {
		t.Fatal(err)
	}
	second := root.site(t, "two")
	key, err := os.ReadFile(o.Key)
	if err != nil {
		t.Fatal(err)
	}
	pairFiles(t, directory, second)
	if err := os.WriteFile(o.Key, key, 0o600); err != nil {
		t.Fatal(err)
	}
	now := time.Now().Add(lookAgain)
	var local *LocalError
	if _, err := looked(client, now); !errors.As(err, &local) || !strings.Contains(err.Error(), "private key does not match public key") {
		t.Errorf("error %v, want a *LocalError about the key", err)
	}
	pairFiles(t, directory, second)
	if _, err := client.config(now.Add(lookAgainFailed / 2)); err == nil {
		t.Error("looked again too soon")
	}
	if got := serial(t, client, now.Add(lookAgainFailed)); got != second.Leaf.SerialNumber.String() {
		t.Errorf("certificate %s, want the second", got)
	}
}

// A file that cannot be used is an error when the checker is made, and no
// verdict later.
func TestTLSFileErrors(t *testing.T) {
	root := newAuthority(t)
	pair := root.site(t, "one")
	o := pairFiles(t, t.TempDir(), pair)
	garbage := writeFile(t, "garbage.pem", []byte("not PEM"))
	otherKey := writeFile(t, "other.pem", keyPEM(t, root.site(t, "two")))
	directory := t.TempDir()
	tests := []struct {
		name    string
		options TLSOptions
		want    string
	}{
		{"no CA", TLSOptions{CA: "/nonexistent/ca.pem"}, "CA /nonexistent/ca.pem: no such file or directory"},
		{"no CA in it", TLSOptions{CA: garbage}, "CA " + garbage + ": no certificate in PEM form"},
		{"a directory", TLSOptions{CA: directory}, "CA " + directory + " is no regular file"},
		{"no certificate", TLSOptions{Certificate: "/nonexistent/c.pem"}, "client certificate /nonexistent/c.pem: no such file or directory"},
		{"no certificate in it", TLSOptions{Certificate: garbage, Key: o.Key},
			"client certificate " + garbage + " with key " + o.Key + ": tls: failed to find any PEM data in certificate input"},
		{"no key", TLSOptions{Certificate: o.Certificate, Key: "/nonexistent/k.pem"}, "client key /nonexistent/k.pem: no such file or directory"},
		{"another key", TLSOptions{Certificate: o.Certificate, Key: otherKey},
			"client certificate " + o.Certificate + " with key " + otherKey + ": tls: private key does not match public key"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			target := netip.MustParseAddrPort("192.0.2.1:443")
			_, err := New(tlsSpec(target, TLS{Options: test.options}))
			wantError(t, err, "check of 192.0.2.1:443: "+test.want)
		})
	}
	t.Run("later", func(t *testing.T) {
		ca := root.file(t)
		client, err := TLSOptions{CA: ca}.client("")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(ca); err != nil {
			t.Fatal(err)
		}
		_, err = looked(client, time.Now().Add(lookAgain))
		wantError(t, err, "no verdict: CA "+ca+": no such file or directory")
	})
}

// A look that takes long holds up nobody else.
func TestTLSLookByOne(t *testing.T) {
	client, err := TLSOptions{CA: newAuthority(t).file(t)}.client("")
	if err != nil {
		t.Fatal(err)
	}
	client.files.look.Lock()
	defer client.files.look.Unlock()
	if _, err := client.config(time.Now().Add(lookAgain)); err != nil {
		t.Error(err)
	}
}

// A file system that hangs holds up no probe, which goes on with what is known.
func TestTLSLookHangs(t *testing.T) {
	noLeak(t)
	root := newAuthority(t)
	ca := root.file(t)
	client, err := TLSOptions{CA: ca}.client("")
	if err != nil {
		t.Fatal(err)
	}
	roots := client.files.known.Load().roots
	if err := os.WriteFile(ca, certificatePEM(root.certificate.Raw), 0o600); err != nil { // another version
		t.Fatal(err)
	}
	// Whoever opens a file with a lease waits until the lease is given back.
	file, err := os.OpenFile(ca, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fd := file.Fd()
	defer func() { _ = file.Close() }()
	if _, err := unix.FcntlInt(fd, unix.F_SETLEASE, unix.F_WRLCK); err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(lookAgain)
	done := make(chan error, 1)
	go func() {
		config, err := client.config(later)
		if err == nil && config.RootCAs != roots {
			err = errors.New("the configuration is not the one that is known")
		}
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Error("the probe hangs with the file system")
	}
	if _, err := unix.FcntlInt(fd, unix.F_SETLEASE, unix.F_UNLCK); err != nil {
		t.Fatal(err)
	}
	if config, err := looked(client, later); err != nil || config.RootCAs == roots {
		t.Errorf("error %v, or not what the file contains", err)
	}
}

// Checkers with the same files share what is in them, until the last one is
// gone.
func TestTLSFilesShared(t *testing.T) {
	paths := tlsPaths{ca: newAuthority(t).file(t)}
	one, err := openTLSFiles(paths)
	if err != nil {
		t.Fatal(err)
	}
	roots := one.known.Load().roots
	two, err := openTLSFiles(paths)
	if err != nil {
		t.Fatal(err)
	}
	if one != two || two.known.Load().roots != roots {
		t.Error("the same files were read twice")
	}
	runtime.KeepAlive(one)
	one, two = nil, nil
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		runtime.GC()
		sharedTLSFiles.Lock()
		_, held := sharedTLSFiles.by[paths]
		sharedTLSFiles.Unlock()
		if !held {
			return
		}
		if time.Now().After(end) {
			t.Fatal("files that nobody uses are kept")
		}
	}
}
