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

// TestKernelRenames keeps index and addresses under a new name.
func TestKernelRenames(t *testing.T) {
	k := linktest.NewKernel("eth0", "eth1")
	_ = k.Add("eth0", vip)
	index, err := k.Index("eth0")
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Rename("eth2", "lan0"); !errors.Is(err, unix.ENODEV) {
		t.Errorf("a missing interface renamed: %v", err)
	}
	if err := k.Rename("eth0", "eth1"); !errors.Is(err, unix.EEXIST) {
		t.Errorf("a name taken: %v", err)
	}
	var told []string
	k.Watch(func(iface string) { told = append(told, iface) })
	if err := k.Rename("eth0", "lan0"); err != nil {
		t.Fatal(err)
	}
	if now, err := k.Index("lan0"); now != index || err != nil || len(told) != 1 || told[0] != "lan0" {
		t.Errorf("index %d (%v) and notifications %q, want %d and one of lan0", now, err, told, index)
	}
	if _, err := k.Index("eth0"); !errors.Is(err, unix.ENODEV) {
		t.Errorf("the old name: %v", err)
	}
	k.Plug("eth0")
	if again, _ := k.Index("eth0"); again == index {
		t.Error("an index was given twice")
	}
	if err := k.DeleteAt(index, vip); err != nil {
		t.Errorf("delete by index: %v", err)
	}
	if err := k.AddAt(99, vip); !errors.Is(err, unix.ENODEV) {
		t.Errorf("an index that does not exist: %v", err)
	}
	if list, err := k.AddressesAt(99); len(list) > 0 || err != nil {
		t.Errorf("an index that does not exist has %v (%v)", list, err)
	}
	if got := k.String(); got != "eth0:\neth1:\nlan0:\n" {
		t.Error(got)
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
