package link

import (
	"errors"
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"bascule/vrrp"
)

// TestMonitorLosesHints reads everything again when the kernel says that
// notifications were lost.
func TestMonitorLosesHints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeSystem()
		f := startFake(t, s)
		f.Want(wantOne("eth0", nil, prefixes("10.0.0.10/24")))
		f.expect(t, vrrp.NoFault)
		s.mu.Lock()
		s.devices["eth0"] = device{index: 7} // unnoticed
		s.mu.Unlock()
		f.expect(t)
		s.hints <- nil
		f.expect(t, vrrp.FaultDown)
	})
}

// TestMonitorResyncs finds what no notification told, sooner or later.
func TestMonitorResyncs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeSystem()
		f := startFake(t, s)
		f.Want(wantOne("eth0", nil, prefixes("10.0.0.10/24")))
		f.expect(t, vrrp.NoFault)
		s.mu.Lock()
		s.devices["eth0"] = device{index: 7}
		s.mu.Unlock()
		time.Sleep(resyncInterval)
		f.expect(t, vrrp.FaultDown)
	})
}

// TestMonitorSubscribesAgain shows that notifications are missing, serves
// without them, and subscribes as soon as it can.
func TestMonitorSubscribesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeSystem()
		s.broken = errors.New("too many open files")
		f := startFake(t, s)
		f.Want(wantOne("eth0", prefixes("10.0.0.10/24"), nil))
		f.expect(t, vrrp.NoFault)
		if p := f.Problems(); len(p) != 1 || p[0] != "notifications of the kernel: too many open files" {
			t.Errorf("problems %q", p)
		}
		must(t, s.Kernel.Delete("eth0", netip.MustParsePrefix("10.0.0.10/24")))
		time.Sleep(resyncInterval)
		synctest.Wait()
		if got := s.Kernel.String(); got != "eth0: 10.0.0.1/24 [10.0.0.10/24]\n" {
			t.Errorf("without notifications: %s", got)
		}
		s.mu.Lock()
		s.broken = nil
		s.mu.Unlock()
		time.Sleep(lastRetry)
		synctest.Wait()
		if p := f.Problems(); len(p) > 0 {
			t.Errorf("problems %q", p)
		}
		s.set("eth0", nil)
		f.expect(t, vrrp.FaultMissing)
	})
}

func TestParseHint(t *testing.T) {
	link := append(make([]byte, unix.SizeofIfInfomsg), 9, 0, unix.IFLA_IFNAME, 0, 'e', 't', 'h', '0', 0, 0, 0, 0)
	link[4] = 7
	addr := make([]byte, unix.SizeofIfAddrmsg)
	addr[4] = 9
	tests := []struct {
		name string
		kind uint16
		data []byte
		want hint
		ok   bool
	}{
		{"link", unix.RTM_NEWLINK, link, hint{7, "eth0"}, true},
		{"link deleted", unix.RTM_DELLINK, link, hint{7, "eth0"}, true},
		{"link without attributes", unix.RTM_NEWLINK, link[:unix.SizeofIfInfomsg], hint{index: 7}, true},
		{"link with a broken attribute", unix.RTM_NEWLINK, link[:unix.SizeofIfInfomsg+6], hint{index: 7}, true},
		{"truncated link", unix.RTM_NEWLINK, link[:unix.SizeofIfInfomsg-1], hint{}, false},
		{"address", unix.RTM_NEWADDR, addr, hint{index: 9}, true},
		{"address deleted", unix.RTM_DELADDR, addr, hint{index: 9}, true},
		{"truncated address", unix.RTM_DELADDR, addr[:7], hint{}, false},
		{"something else", unix.RTM_NEWROUTE, link, hint{}, false},
		{"nothing", unix.NLMSG_DONE, nil, hint{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := syscall.NetlinkMessage{Header: syscall.NlMsghdr{Type: tt.kind}, Data: tt.data}
			if got, ok := parseHint(m); got != tt.want || ok != tt.ok {
				t.Errorf("%+v %t, want %+v %t", got, ok, tt.want, tt.ok)
			}
		})
	}
}

func FuzzParseHint(f *testing.F) {
	f.Add(uint16(unix.RTM_NEWLINK), make([]byte, unix.SizeofIfInfomsg+4))
	f.Add(uint16(unix.RTM_DELADDR), make([]byte, unix.SizeofIfAddrmsg))
	f.Fuzz(func(t *testing.T, kind uint16, data []byte) {
		m := syscall.NetlinkMessage{Header: syscall.NlMsghdr{Type: kind}, Data: data}
		if h, ok := parseHint(m); !ok && h != (hint{}) {
			t.Errorf("%+v from a message that says nothing", h)
		}
	})
}

func TestBackoff(t *testing.T) {
	var b backoff
	ms := time.Millisecond
	for _, want := range []time.Duration{100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, 5000 * ms, 5000 * ms} {
		if got := b.next(); got != want {
			t.Errorf("pause %s, want %s", got, want)
		}
	}
	b.reset()
	if got := b.next(); got != firstRetry {
		t.Errorf("pause %s after a reset, want %s", got, firstRetry)
	}
}
