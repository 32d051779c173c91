package checker

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"golang.org/x/sys/unix"
)

const (
	// lookAgain is how often the files are looked at for a renewal.
	lookAgain = time.Minute
	// lookAgainFailed is the same while they cannot be used. A renewal writes
	// the certificate and its key one after the other, and between the two no
	// probe has a verdict.
	lookAgainFailed = time.Second
	// lookPatience is how long a probe waits for the look. A file system that
	// hangs is no reason to call a server dead, nor to hang with it.
	lookPatience = 100 * time.Millisecond
)

// tlsPaths are the files of some TLSOptions.
type tlsPaths struct{ ca, certificate, key string }

// tlsFiles is what some files contain. All checkers with the same files share
// one: a bundle of authorities takes hundreds of KiB.
type tlsFiles struct {
	paths tlsPaths
	known atomic.Pointer[tlsContents]
	look  sync.Mutex // one goroutine looks; the others go on with what is known
}

// tlsContents is what the files contained when they were looked at.
type tlsContents struct {
	roots       *x509.CertPool   // nil: those of the system
	certificate *tls.Certificate // nil: none
	err         error            // why the files cannot be used
	stamps      [3]fileStamp     // of the files
	looked      time.Time
}

// fileStamp tells one version of a file from another. A renewal may put
// another file in its place, or write into it.
type fileStamp struct {
	device, inode uint64
	size          int64
	modified      unix.Timespec
	changed       unix.Timespec
}

// sharedTLSFiles are the files that some checker uses.
var sharedTLSFiles = struct {
	sync.Mutex
	by map[tlsPaths]weak.Pointer[tlsFiles]
}{by: map[tlsPaths]weak.Pointer[tlsFiles]{}}

// openTLSFiles returns the contents of files that are read or looked at now.
func openTLSFiles(paths tlsPaths) (*tlsFiles, error) {
	files := shareTLSFiles(paths)
	files.look.Lock()
	defer files.look.Unlock()
	return files, files.refresh(time.Now()).err
}

// shareTLSFiles returns the one tlsFiles of some paths.
func shareTLSFiles(paths tlsPaths) *tlsFiles {
	shared := &sharedTLSFiles
	shared.Lock()
	defer shared.Unlock()
	if files := shared.by[paths].Value(); files != nil {
		return files
	}
	files := &tlsFiles{paths: paths}
	shared.by[paths] = weak.Make(files)
	runtime.AddCleanup(files, forgetTLSFiles, paths)
	return files
}

// forgetTLSFiles removes files that no checker uses any more, unless others
// have come to use them meanwhile.
func forgetTLSFiles(paths tlsPaths) {
	shared := &sharedTLSFiles
	shared.Lock()
	defer shared.Unlock()
	if shared.by[paths].Value() == nil {
		delete(shared.by, paths)
	}
}

// contents returns what the files contain, as far as it is known. It looks at
// them now and then, and reads them if they have changed.
func (f *tlsFiles) contents(now time.Time) *tlsContents {
	known := f.known.Load()
	if now.Sub(known.looked) < known.patience() || !f.look.TryLock() {
		return known
	}
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		defer f.look.Unlock()
		f.refresh(now)
	}()
	timer := time.NewTimer(lookPatience)
	defer timer.Stop()
	select {
	case <-looked:
	case <-timer.C:
	}
	return f.known.Load()
}

// patience is how long the contents are good for without another look.
func (c *tlsContents) patience() time.Duration {
	if c.err != nil {
		return lookAgainFailed
	}
	return lookAgain
}

// refresh looks at the files, and reads them if they have changed or could
// not be used. Its caller holds look.
func (f *tlsFiles) refresh(now time.Time) *tlsContents {
	stamps, err := f.stamps()
	old := f.known.Load()
	fresh := &tlsContents{stamps: stamps, err: err, looked: now}
	switch {
	case err != nil:
	case old != nil && old.err == nil && old.stamps == stamps:
		fresh.roots, fresh.certificate = old.roots, old.certificate
	default:
		fresh.read(f.paths)
	}
	f.known.Store(fresh)
	return fresh
}

// stamps returns the stamps of the files; of one that is not given, none.
func (f *tlsFiles) stamps() (stamps [3]fileStamp, err error) {
	p := f.paths
	for i, file := range []struct{ what, path string }{{"CA", p.ca}, {"client certificate", p.certificate}, {"client key", p.key}} {
		if file.path == "" {
			continue
		}
		var stat unix.Stat_t
		if err := unix.Stat(file.path, &stat); err != nil {
			return stamps, fmt.Errorf("%s %s: %w", file.what, file.path, err)
		}
		if stat.Mode&unix.S_IFMT != unix.S_IFREG { // reading a pipe would not end
			return stamps, fmt.Errorf("%s %s is no regular file", file.what, file.path)
		}
		stamps[i] = fileStamp{stat.Dev, stat.Ino, stat.Size, stat.Mtim, stat.Ctim}
	}
	return stamps, nil
}

// read reads the files.
func (c *tlsContents) read(paths tlsPaths) {
	if paths.ca != "" {
		if c.roots, c.err = readRoots(paths.ca); c.err != nil {
			return
		}
	}
	if paths.certificate != "" {
		c.certificate, c.err = readCertificate(paths.certificate, paths.key)
	}
}

// readRoots reads the certificates of authorities.
func readRoots(path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("CA %s: %w", path, withoutPath(err))
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("CA %s: no certificate in PEM form", path)
	}
	return roots, nil
}

// readCertificate reads a client certificate and its key, "" if that is in
// the same file.
func readCertificate(path, key string) (*tls.Certificate, error) {
	if key == "" {
		key = path
	}
	chain, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("client certificate %s: %w", path, withoutPath(err))
	}
	secret, err := os.ReadFile(key)
	if err != nil {
		return nil, fmt.Errorf("client key %s: %w", key, withoutPath(err))
	}
	pair, err := tls.X509KeyPair(chain, secret)
	if err != nil {
		return nil, fmt.Errorf("client certificate %s with key %s: %w", path, key, err)
	}
	return &pair, nil
}

// withoutPath is the error of an operation on a file whose path the message
// says anyway.
func withoutPath(err error) error {
	var failed *os.PathError
	if errors.As(err, &failed) {
		return failed.Err
	}
	return err
}
