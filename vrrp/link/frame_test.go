package link

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/mdlayher/ethernet"
)

// frameLog is a frameWriter that records.
type frameLog struct {
	index  int
	frames int
	closed bool
	err    error
}

// WriteTo counts a frame.
func (f *frameLog) WriteTo(b []byte, _ net.Addr) (int, error) {
	if f.closed {
		return 0, net.ErrClosed
	}
	f.frames++
	return len(b), f.err
}

// SetWriteDeadline does nothing.
func (f *frameLog) SetWriteDeadline(time.Time) error { return nil }

// Close closes it.
func (f *frameLog) Close() error {
	f.closed = true
	return nil
}

// TestFrameSender keeps one socket for as long as the interface and the socket
// last, and opens another after that.
func TestFrameSender(t *testing.T) {
	hardware, _ := net.ParseMAC("7e:cc:3b:4c:a6:a3")
	addr := netip.MustParseAddr("192.0.2.100")
	now, there := device{index: 1, hardware: hardware}, true
	var opened []*frameLog
	var refuse error
	s := &frameSender{
		device: func() (device, bool) { return now, there },
		open: func(d device, _ ethernet.EtherType) (frameWriter, error) {
			if refuse != nil {
				return (*frameLog)(nil), refuse
			}
			opened = append(opened, &frameLog{index: d.index})
			return opened[len(opened)-1], nil
		},
	}
	send := func(wantErr bool) {
		t.Helper()
		if err := s.send(addr); (err != nil) != wantErr {
			t.Errorf("send: %v, want an error: %t", err, wantErr)
		}
	}
	send(false)
	send(false)
	now.index = 2
	send(false)
	if len(opened) != 2 || opened[0].frames != 2 || !opened[0].closed || opened[1].index != 2 {
		t.Fatalf("sockets %+v, want one for each index", opened)
	}
	opened[1].err = errors.New("no room")
	send(true)
	send(false)
	if len(opened) != 3 || !opened[1].closed {
		t.Fatal("a socket that failed is used again")
	}
	s.close()
	refuse = errors.New("not permitted")
	send(true)
	refuse = nil
	send(false)
	there = false
	send(true)
	there, now.hardware = true, nil
	send(false)
	if got := opened[len(opened)-1].frames; got != 1 {
		t.Errorf("%d frames on the last socket, want 1: without interface or hardware address there is nothing to send", got)
	}
}
