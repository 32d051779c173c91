package ipvs

import (
	"errors"
	"net/netip"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moby/ipvs"
	"golang.org/x/sys/unix"

	"bascule/lvs"
)

// library is moby/ipvs without a kernel: it notes what it is asked for.
type library struct {
	calls  []string
	err    error         // of every call
	config error         // of GetConfig; errPanic makes it panic
	hangs  bool          // calls end when the handle is closed
	closed chan struct{} // closing it twice panics
}

// errPanic makes GetConfig panic, as it does on family 0.
var errPanic = errors.New("panic")

// newLibrary returns a library that answers.
func newLibrary() *library { return &library{closed: make(chan struct{})} }

// call notes a call.
func (l *library) call(name string) error {
	l.calls = append(l.calls, name)
	if l.hangs {
		<-l.closed
		return os.ErrClosed
	}
	return l.err
}

// NewService notes the call.
func (l *library) NewService(*ipvs.Service) error { return l.call("NewService") }

// UpdateService notes the call.
func (l *library) UpdateService(*ipvs.Service) error { return l.call("UpdateService") }

// DelService notes the call.
func (l *library) DelService(*ipvs.Service) error { return l.call("DelService") }

// NewDestination notes the call.
func (l *library) NewDestination(*ipvs.Service, *ipvs.Destination) error {
	return l.call("NewDestination")
}

// UpdateDestination notes the call.
func (l *library) UpdateDestination(*ipvs.Service, *ipvs.Destination) error {
	return l.call("UpdateDestination")
}

// DelDestination notes the call.
func (l *library) DelDestination(*ipvs.Service, *ipvs.Destination) error {
	return l.call("DelDestination")
}

// SetConfig notes the call.
func (l *library) SetConfig(*ipvs.Config) error { return l.call("SetConfig") }

// GetConfig fails, or panics.
func (l *library) GetConfig() (*ipvs.Config, error) {
	if errors.Is(l.config, errPanic) {
		panic("index out of range")
	}
	return nil, l.config
}

// Close ends the calls that hang.
func (l *library) Close() { close(l.closed) }

// TestWriter checks which requests go through moby/ipvs.
func TestWriter(t *testing.T) {
	s := Service{ServiceID: ServiceID{Family: familyIPv4, Protocol: 6, Address: netip.MustParseAddr("192.0.2.1"), Port: 80}}
	d := Destination{Family: familyIPv4, Address: netip.MustParseAddr("198.51.100.1"), Weight: lvs.MaxWeight, Method: MethodTunnel, Upper: 2, Lower: 1}
	request := func(command Command, change func(*Request)) Request {
		r := Request{Command: command, Service: s, Destination: d}
		change(&r)
		return r
	}
	unchanged := func(*Request) {}
	for _, test := range []struct {
		request Request
		want    string // a call of moby/ipvs; "" is a message of our own
	}{
		{request(NewService, unchanged), "NewService"},
		{request(SetService, unchanged), "UpdateService"},
		{request(DelService, unchanged), "DelService"},
		{request(NewDest, unchanged), "NewDestination"},
		{request(SetDest, unchanged), "UpdateDestination"},
		{request(DelDest, unchanged), "DelDestination"},
		{request(SetConfig, unchanged), "SetConfig"},
		{request(NewService, func(r *Request) { r.Service.Engine = "sip" }), ""},
		{request(SetService, func(r *Request) { r.Service.Engine = "sip" }), ""},
		{request(NewDest, func(r *Request) { r.Destination.Weight = lvs.MaxWeight + 1 }), ""},
		{request(NewDest, func(r *Request) { r.Destination.Family = familyIPv6 }), ""},
		{request(DelDest, func(r *Request) { r.Destination.Family = familyIPv6 }), ""},
		{request(SetDest, func(r *Request) { r.Destination.TunnelType = 2 }), ""},
		{request(SetDest, func(r *Request) { r.Destination.TunnelPort = 80 }), ""},
		{request(SetDest, func(r *Request) { r.Destination.TunnelFlags = 1 }), ""},
		{request(NewDaemon, unchanged), ""},
		{request(DelDaemon, unchanged), ""},
		{request(Zero, unchanged), ""},
	} {
		p, k := newPeer(func(request message) []any { return []any{acknowledge(request, 0)} })
		l := newLibrary()
		k.moby = &moby{handle: l}
		if err := k.Edit(test.request)[0]; err != nil {
			t.Errorf("%v: %v", test.request, err)
		}
		var want []string
		if test.want != "" {
			want = []string{test.want}
		}
		if !slices.Equal(l.calls, want) || len(p.sends)+len(want) != 1 {
			t.Errorf("%+v: calls of moby/ipvs %q, %d messages of our own", test.request, l.calls, len(p.sends))
		}
		if k.Edit(test.request, test.request); !slices.Equal(l.calls, want) {
			t.Errorf("%v: many requests went through moby/ipvs", test.request.Command)
		}
	}
	if err := (&moby{handle: newLibrary()}).edit(&Request{Command: NewDaemon}); !errors.Is(err, unix.EOPNOTSUPP) {
		t.Errorf("what moby/ipvs cannot do: %v", err)
	}
}

// TestWriterFails checks what becomes of requests that moby/ipvs fails to make.
func TestWriterFails(t *testing.T) {
	for _, test := range []struct {
		err      error
		want     error
		messages int // of our own
	}{
		{unix.EEXIST, unix.EEXIST, 0},
		{unix.ENOBUFS, nil, 1}, // the answer was lost
		{unix.ENOENT, unix.ENOENT, 1},
	} {
		p, k := newPeer(func(request message) []any { return []any{acknowledge(request, 0)} })
		k.conn.family = 30
		l := newLibrary()
		l.err = test.err
		k.moby = &moby{handle: l}
		if err := k.Edit(edits(NewService, 1)...)[0]; !errors.Is(err, test.want) || len(p.sends) != test.messages {
			t.Errorf("%v: error %v, %d messages of our own", test.err, err, len(p.sends))
		}
	}
}

// TestWriterStale checks that moby/ipvs is given up when IPVS has another
// family than that library thinks, and that the request is made without it.
func TestWriterStale(t *testing.T) {
	p, k := newPeer(func(request message) []any { return []any{acknowledge(request, 0)} })
	k.conn.family = 29
	l := newLibrary()
	l.err = unix.ENOENT
	k.moby = &moby{handle: l}
	if err := k.Edit(edits(NewService, 1)...)[0]; err != nil || len(p.sends) != 2 || k.moby != nil {
		t.Errorf("error %v, %d messages of our own, moby/ipvs %v", err, len(p.sends), k.moby)
	}
	select {
	case <-l.closed:
	default:
		t.Error("the handle is open still")
	}
}

// TestWriterHangs checks that a reply is not waited for for ever, that the
// request is made without moby/ipvs then, and that the handle is closed once.
func TestWriterHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, k := newPeer(func(request message) []any { return []any{acknowledge(request, 0)} })
		l := newLibrary()
		l.hangs = true
		m := &moby{handle: l}
		k.moby = m
		start := time.Now()
		if err := k.Edit(edits(NewService, 1)...)[0]; err != nil || time.Since(start) != mobyTimeout || len(p.sends) != 1 {
			t.Errorf("error %v after %v, %d messages of our own", err, time.Since(start), len(p.sends))
		}
		if err := m.call(func() error { return nil }); !errors.Is(err, errLost) {
			t.Errorf("a handle that was given up: %v", err)
		}
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestWriterKnows checks that moby/ipvs is not used if it has another family
// in mind than the kernel.
func TestWriterKnows(t *testing.T) {
	for _, test := range []struct {
		err  error
		want bool
	}{{nil, true}, {errPanic, false}, {unix.ENOENT, false}} {
		l := newLibrary()
		l.config = test.err
		if got := (&moby{handle: l}).knows(); got != test.want {
			t.Errorf("%v: %v, want %v", test.err, got, test.want)
		}
	}
}

// TestAbsent checks that the director can tell that there is no table.
func TestAbsent(t *testing.T) {
	if !errors.Is(ErrNoIPVS, lvs.ErrAbsent) || ErrNoIPVS.Error() != "kernel has no IPVS: modprobe ip_vs" {
		t.Errorf("error %v, want one that is %v and says what to do", ErrNoIPVS, lvs.ErrAbsent)
	}
}
