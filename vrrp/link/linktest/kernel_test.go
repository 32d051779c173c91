package linktest_test

import (
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"bascule/vrrp/link/linktest"
)

// The comparison of Kernel with Linux itself is in package link, where the
// client of Linux is.

func TestKernelFails(t *testing.T) {
	k := linktest.NewKernel("eth0")
	other := netip.MustParsePrefix("192.168.56.20/24")
	k.Fail("add", vip, 2, unix.ENOBUFS)
	k.Fail("list", netip.Prefix{}, -1, unix.EAGAIN)
	for i, want := range []error{unix.ENOBUFS, unix.ENOBUFS, nil, unix.EEXIST} {
		if got := k.Add("eth0", vip); !errors.Is(got, want) {
			t.Errorf("attempt %d: %v, want %v", i, got, want)
		}
	}
	if err := k.Add("eth0", other); err != nil {
		t.Errorf("another address: %v", err)
	}
	for range 5 {
		if _, err := k.Addresses("eth0"); !errors.Is(err, unix.EAGAIN) {
			t.Errorf("list: %v", err)
		}
	}
	k.Mend()
	if list, err := k.Addresses("eth0"); err != nil || len(list) != 2 {
		t.Errorf("list: %v, %v", list, err)
	}
	if k.Edits() != 2 {
		t.Errorf("%d edits, want 2: the others changed nothing", k.Edits())
	}
}

func TestKernelInterfaces(t *testing.T) {
	k := linktest.NewKernel("eth0")
	var told []string
	k.Watch(func(iface string) {
		told = append(told, iface)
		_, _ = k.Addresses(iface) // must not deadlock
	})
	for _, err := range []error{k.Add("eth1", vip), k.Delete("eth1", vip)} {
		if !errors.Is(err, unix.ENODEV) {
			t.Errorf("missing interface: %v", err)
		}
	}
	if err := k.Delete("eth0", vip); !errors.Is(err, unix.EADDRNOTAVAIL) {
		t.Errorf("missing address: %v", err)
	}
	k.Plug("eth1")
	_ = k.Add("eth1", vip)
	_ = k.Add("eth1", netip.MustParsePrefix("192.168.56.20/24"))
	if got := k.String(); got != "eth0:\neth1: 192.168.56.10/24 [192.168.56.20/24]\n" {
		t.Error(got)
	}
	k.Plug("eth1") // is there already
	k.Unplug("eth0")
	if got := k.String(); got != "eth1: 192.168.56.10/24 [192.168.56.20/24]\n" {
		t.Error(got)
	}
	if len(told) != 5 {
		t.Errorf("%d notifications, want 5", len(told))
	}
}

func TestKernelLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := linktest.NewKernel("eth0")
		k.SetLatency(time.Second)
		begin := time.Now()
		_ = k.Add("eth0", vip)
		_, _ = k.Addresses("eth0")
		if took := time.Since(begin); took != 2*time.Second {
			t.Errorf("an edit and a list took %s, want 2s", took)
		}
	})
}
