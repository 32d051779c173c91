package ipvs

import (
	"errors"
	"slices"
	"testing"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// whole is a dump of two services in one message and one in another.
func whole(request message) []any {
	return []any{slices.Concat(part(request, 1, 0), part(request, 2, 0)), part(request, 3, 0), done(request)}
}

// TestDump checks what becomes of dumps that are lost in part, change while
// they are read, fail or are not well formed.
func TestDump(t *testing.T) {
	short := func(request message, cut int) []byte {
		b := part(request, 1, 0)
		return b[:len(b)-cut]
	}
	for _, test := range []struct {
		name  string
		first func(request message) []any // the answer to the first request
		err   error                       // if the first answer decides
		dumps int
	}{
		{"whole", whole, nil, 1},
		{"lost in the middle", func(r message) []any { return []any{part(r, 1, 0), unix.ENOBUFS, part(r, 3, 0), done(r)} }, nil, 2},
		{"lost at the beginning", func(r message) []any { return []any{unix.ENOBUFS, part(r, 3, 0), done(r)} }, nil, 2},
		{"lost with its end", func(r message) []any { return []any{part(r, 1, 0), unix.ENOBUFS} }, nil, 2},
		{"overrun", func(r message) []any { return []any{part(r, 1, 0), end(r, unix.NLMSG_OVERRUN, 0, 0), done(r)} }, nil, 2},
		{"changed in a part", func(r message) []any { return []any{part(r, 1, unix.NLM_F_DUMP_INTR), part(r, 3, 0), done(r)} }, nil, 2},
		{"changed at the end", func(r message) []any {
			return []any{part(r, 1, 0), end(r, unix.NLMSG_DONE, unix.NLM_F_DUMP_INTR, 0)}
		}, nil, 2},
		{"interrupted", func(message) []any { return nil }, nil, 2},
		{"nothing to say", func(r message) []any { return append([]any{end(r, unix.NLMSG_NOOP, 0, 0)}, whole(r)...) }, nil, 1},
		{"another's answer", func(r message) []any {
			late := message{kind: r.kind, sequence: r.sequence - 1}
			return append([]any{part(late, 9, 0), done(late)}, whole(r)...)
		}, nil, 1},
		{"end without an errno", func(r message) []any {
			b := done(r)[:16]
			native.PutUint32(b, 16)
			return append(whole(r)[:2], b)
		}, nil, 1},
		{"failed", func(r message) []any { return []any{acknowledge(r, unix.EPERM)} }, unix.EPERM, 1},
		{"failed at the end", func(r message) []any { return []any{part(r, 1, 0), end(r, unix.NLMSG_DONE, 0, unix.ENOMEM)} }, unix.ENOMEM, 1},
		{"short message", func(r message) []any { return []any{short(r, 1)} }, errMalformed, 1},
		{"short header", func(r message) []any { return []any{part(r, 1, 0)[:15]} }, errMalformed, 1},
		{"no attributes", func(r message) []any { return []any{answer(r, 0, func(*encoder) {}), done(r)} }, errMalformed, 1},
		{"no header of generic netlink", func(r message) []any { return []any{end(r, r.kind, unix.NLM_F_MULTI, 0)[:16], done(r)} }, errMalformed, 1},
		{"another failure", func(message) []any { return []any{unix.EBADF} }, unix.EBADF, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			dumps := 0
			_, k := newPeer(func(request message) []any {
				if dumps++; dumps == 1 {
					return test.first(request)
				}
				return whole(request)
			})
			before := []Service{{Scheduler: "kept"}}
			got, err := k.Services(before)
			if !errors.Is(err, test.err) || dumps != test.dumps {
				t.Fatalf("error %v, %d dumps; want %v, %d", err, dumps, test.err, test.dumps)
			}
			if err == nil && (len(got) != 4 || got[0].Scheduler != "kept" || got[1].Mark != 1 || got[3].Mark != 3) {
				t.Errorf("services %+v, want three after the one there was", got)
			}
		})
	}
}

// TestDumpRefused checks that a dump is had although an earlier one has not
// ended: the kernel refuses it, and goes on with the other as it is received.
func TestDumpRefused(t *testing.T) {
	p, k := newPeer(nil)
	late := message{kind: 30, sequence: 1 << 31}
	p.begun = append(slices.Repeat([]any{part(late, 9, 0)}, 20), unix.ENOBUFS, part(late, 9, 0)[:1], done(late))
	dumps := 0
	p.script = func(request message) []any {
		if request.kind == nl.GENL_ID_CTRL {
			return []any{family(request, 30)}
		}
		if dumps++; len(p.begun) > 0 {
			return []any{acknowledge(request, unix.EBUSY)}
		}
		return whole(request)
	}
	if got, err := k.Services(nil); err != nil || len(got) != 3 || dumps != 2 {
		t.Errorf("services %+v, error %v after %d dumps; want three after 2", got, err, dumps)
	}
}

// TestDumpInVain checks that a dump is not asked for for ever.
func TestDumpInVain(t *testing.T) {
	for _, test := range []struct {
		answer func(request message) []any
		want   error
	}{
		{func(r message) []any { return []any{unix.ENOBUFS, done(r)} }, unix.ENOBUFS},
		{func(r message) []any { return []any{part(r, 1, unix.NLM_F_DUMP_INTR), done(r)} }, errInterrupted},
		{func(message) []any { return nil }, errNoAnswer},
	} {
		p, k := newPeer(test.answer)
		if _, err := k.Services(nil); !errors.Is(err, test.want) || len(p.sends) != 1+attempts {
			t.Errorf("error %v after %d messages, want %v after %d", err, len(p.sends), test.want, 1+attempts)
		}
	}
}

// edits returns requests to delete the services of n firewall marks.
func edits(command Command, n int) (requests []Request) {
	for i := range n {
		requests = append(requests, Request{Command: command, Service: Service{ServiceID: ServiceID{Family: familyIPv4, Mark: uint32(1 + i)}}})
	}
	return requests
}

// TestEdits checks that edits are sent together, that each has the answer that
// is its own, and that those whose answer is lost are made again, and no
// others.
func TestEdits(t *testing.T) {
	seen := 0
	p, k := newPeer(func(request message) []any {
		seen++
		switch seen % 10 {
		case 3:
			return []any{unix.ENOBUFS} // its answer did not fit
		case 7:
			return nil // it was interrupted
		case 9:
			return []any{acknowledge(request, unix.ESRCH)}
		}
		return []any{acknowledge(request, 0)}
	})
	requests := edits(Zero, 100)
	errs := k.Edit(requests...)
	var sizes []int
	for _, sent := range p.sends {
		sizes = append(sizes, len(sent))
	}
	if !slices.Equal(sizes, []int{64, 13, 3, 36, 7, 2}) {
		t.Errorf("messages sent at once: %v", sizes)
	}
	failed := 0
	for _, err := range errs {
		if err != nil && !errors.Is(err, unix.ESRCH) {
			t.Errorf("error %v", err)
		}
		if err != nil {
			failed++
		}
	}
	if failed == 0 || !errors.Is(errs[8], unix.ESRCH) || errs[0] != nil {
		t.Errorf("errors %v", errs)
	}
}

// TestEditAgain checks what the answer to an edit means that is made again
// because the first answer was lost.
func TestEditAgain(t *testing.T) {
	for _, test := range []struct {
		command Command
		answer  unix.Errno
		want    error
	}{
		{NewService, 0, nil},
		{NewService, unix.EEXIST, unix.EEXIST},
		{SetDest, unix.ESRCH, unix.ESRCH},
		{DelService, unix.ESRCH, nil},
		{DelDest, unix.ENOENT, nil},
		{DelDaemon, unix.ESRCH, nil},
		{DelDaemon, unix.EINVAL, unix.EINVAL},
	} {
		p, k := newPeer(nil)
		count := 0
		p.script = func(request message) []any {
			if count++; count == 1 {
				return nil
			}
			return []any{acknowledge(request, test.answer)}
		}
		if err := k.Edit(edits(test.command, 1)...)[0]; !errors.Is(err, test.want) {
			t.Errorf("%v, then %v: error %v, want %v", test.command, test.answer, err, test.want)
		}
	}
}

// TestEditsInVain checks that edits are not made for ever.
func TestEditsInVain(t *testing.T) {
	for _, want := range []error{errNoAnswer, unix.ENOBUFS, unix.EBADF} {
		p, k := newPeer(func(message) []any {
			if errors.Is(want, errNoAnswer) {
				return nil
			}
			return []any{want}
		})
		for _, err := range k.Edit(edits(NewService, 2)...) {
			if !errors.Is(err, want) && !errors.Is(err, errNoAnswer) {
				t.Errorf("error %v, want %v", err, want)
			}
		}
		if len(p.sends) > attempts {
			t.Errorf("%v: sent %d times", want, len(p.sends))
		}
	}
}

// TestFamily checks that a family that was given another number is found by
// reading and by editing, and that one that is gone is told as that.
func TestFamily(t *testing.T) {
	number := uint16(30)
	p, k := newPeer(nil)
	p.script = func(request message) []any {
		switch {
		case request.kind == nl.GENL_ID_CTRL && number == 0, request.kind != nl.GENL_ID_CTRL && request.kind != number:
			return []any{acknowledge(request, unix.ENOENT)}
		case request.kind == nl.GENL_ID_CTRL:
			return []any{family(request, number)}
		case request.flags&unix.NLM_F_DUMP == unix.NLM_F_DUMP:
			return []any{done(request)}
		case request.command() == DelDest:
			return []any{acknowledge(request, unix.ENOENT)}
		case request.command() == getConfig:
			return []any{answer(request, 0, func(*encoder) {})}
		}
		return []any{acknowledge(request, 0)}
	}
	for _, call := range []func() error{
		func() error { _, err := k.Services(nil); return err },
		func() error { _, err := k.Destinations(ServiceID{}, nil); return err },
		func() error { _, err := k.Daemons(); return err },
		func() error { _, err := k.Timeouts(); return err },
		func() error { return errors.Join(k.Edit(edits(NewService, 3)...)...) },
	} {
		number++
		if err := call(); err != nil {
			t.Errorf("another number: %v", err)
		}
		if err := call(); err != nil {
			t.Errorf("the same number: %v", err)
		}
		known := number
		number = 0
		if err := call(); !errors.Is(err, ErrNoIPVS) {
			t.Errorf("no number: %v", err)
		}
		number = known
	}
	if err := k.Edit(edits(DelDest, 1)...)[0]; !errors.Is(err, unix.ENOENT) {
		t.Errorf("a missing destination: %v", err)
	}
	p.script = func(request message) []any { return []any{answer(request, 0, func(*encoder) {})} }
	if _, err := k.refresh(); !errors.Is(err, errMalformed) {
		t.Errorf("an answer without a number: %v", err)
	}
	if err := k.Close(); err != nil || !p.closed {
		t.Errorf("Close: %v, closed %v", err, p.closed)
	}
}

// TestUninterrupted checks that a signal does not end a system call.
func TestUninterrupted(t *testing.T) {
	calls := 0
	err := uninterrupted(func() error {
		if calls++; calls < 3 {
			return unix.EINTR
		}
		return unix.EPERM
	})
	if !errors.Is(err, unix.EPERM) || calls != 3 {
		t.Errorf("error %v after %d calls", err, calls)
	}
}

// TestSocket checks a real socket: there is nothing to receive, what does not
// fit is an error, and nothing works once it is closed.
func TestSocket(t *testing.T) {
	s, err := openSocket("")
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 8)
	if _, err := s.Receive(buf); !errors.Is(err, unix.EAGAIN) {
		t.Errorf("nothing to receive: %v", err)
	}
	var e encoder
	e.familyQuestion(1)
	if err := s.Send(e.buf); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Receive(buf); !errors.Is(err, unix.EMSGSIZE) {
		t.Errorf("more than fits: %v", err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := s.Send(e.buf); err == nil {
		t.Error("a closed socket sends")
	}
	if _, err := s.Receive(buf); err == nil || errors.Is(err, unix.EAGAIN) {
		t.Errorf("a closed socket receives: %v", err)
	}
}
