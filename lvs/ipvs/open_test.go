package ipvs

import (
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moby/ipvs"
	"golang.org/x/sys/unix"

	"bascule/lvs"
)

// closable is a handle of which only Close is called.
type closable struct {
	Handle
	closed chan struct{}
}

// Close ends the wait for a reply. A second call panics.
func (c closable) Close() { close(c.closed) }

// TestProbe checks what becomes of the ways in which the first call can end.
func TestProbe(t *testing.T) {
	for _, test := range []struct {
		name  string
		err   error // of GetConfig; nil is a panic
		cause error
		words string
	}{
		{"empty reply", nil, errStale, "loaded anew"},
		{"no family", unix.ENOENT, errStale, "loaded anew"},
		{"another error", unix.EPERM, nil, "ipvs: read the timeouts: operation not permitted"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := NewClient(closable{closed: make(chan struct{})})
			err := c.probe(func() (*ipvs.Config, error) {
				if test.err == nil {
					panic("index out of range")
				}
				return nil, test.err
			})
			if test.cause != nil && !errors.Is(err, test.cause) || !strings.Contains(err.Error(), test.words) {
				t.Errorf("error %v, want %q", err, test.words)
			}
		})
	}
	c := NewClient(closable{closed: make(chan struct{})})
	if err := c.probe(func() (*ipvs.Config, error) { return &ipvs.Config{}, nil }); err != nil {
		t.Errorf("a kernel that answers: %v", err)
	}
}

// TestProbeWithoutAnswer checks that the first call does not wait for a reply
// for ever either, and that the connection is closed once.
func TestProbeWithoutAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := closable{closed: make(chan struct{})}
		c := NewClient(h)
		start := time.Now()
		err := c.probe(func() (*ipvs.Config, error) {
			<-h.closed
			return nil, os.ErrClosed
		})
		if !errors.Is(err, errLost) || time.Since(start) != callTimeout {
			t.Errorf("error %v after %v, want %v after %v", err, time.Since(start), errLost, callTimeout)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestAbsent checks that the director can tell that there is no table.
func TestAbsent(t *testing.T) {
	if !errors.Is(ErrNoIPVS, lvs.ErrAbsent) || ErrNoIPVS.Error() != "kernel has no IPVS: modprobe ip_vs" {
		t.Errorf("error %v, want one that is %v and says what to do", ErrNoIPVS, lvs.ErrAbsent)
	}
}
