package ipvs

import (
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// peer is a kernel that answers as it is told: each message that it is sent
// with what script returns for it.
type peer struct {
	script func(request message) []any // messages, and errors of Receive
	queue  []any
	begun  []any       // the rest of a dump, which goes on as the queue is received
	sends  [][]message // all that it was sent
	closed bool
}

// newPeer returns a connection to a peer that answers the question for the
// family with the number 30, and everything else by script.
func newPeer(script func(request message) []any) (*peer, *kernel) {
	p := &peer{script: func(request message) []any {
		if request.kind == nl.GENL_ID_CTRL {
			return []any{family(request, 30)}
		}
		return script(request)
	}}
	return p, &kernel{conn: newConn(p), names: make(names)}
}

// Send takes messages.
func (p *peer) Send(b []byte) error {
	var sent []message
	err := messages(slices.Clone(b), func(m message) error {
		sent = append(sent, m)
		p.queue = append(p.queue, p.script(m)...)
		return nil
	})
	p.sends = append(p.sends, sent)
	return err
}

// Receive hands out what was answered.
func (p *peer) Receive(buf []byte) (int, error) {
	if len(p.queue) == 0 {
		return 0, unix.EAGAIN
	}
	next := p.queue[0]
	p.queue = p.queue[1:]
	if len(p.begun) > 0 {
		p.queue, p.begun = append(p.queue, p.begun[0]), p.begun[1:]
	}
	if err, failed := next.(error); failed {
		return 0, err
	}
	return copy(buf, next.([]byte)), nil
}

// Close remembers that it was called.
func (p *peer) Close() error {
	p.closed = true
	return nil
}

// command returns what a request asks for.
func (m message) command() Command { return Command(m.data[0]) }

// answer returns a message that answers a request with attributes.
func answer(to message, flags uint16, attributes func(*encoder)) []byte {
	var e encoder
	start := e.begin(to.kind, 0, to.sequence, 0, 1)
	native.PutUint16(e.buf[6:], flags)
	attributes(&e)
	e.end(start)
	return e.buf
}

// family returns the answer to the question for the family.
func family(to message, number uint16) []byte {
	return answer(to, 0, func(e *encoder) { e.uint16(nl.GENL_CTRL_ATTR_FAMILY_ID, number) })
}

// part returns a part of a dump: a service of a firewall mark.
func part(to message, mark uint32, flags uint16) []byte {
	return answer(to, unix.NLM_F_MULTI|flags, func(e *encoder) {
		e.service(&Service{ServiceID: ServiceID{Family: familyIPv4, Mark: mark}, Scheduler: "rr"})
	})
}

// end returns a message of the given kind that ends an answer with an errno.
func end(to message, kind, flags uint16, errno unix.Errno) []byte {
	b := native.AppendUint32(nil, 20)
	b = native.AppendUint16(b, kind)
	b = native.AppendUint16(b, flags)
	b = native.AppendUint32(b, to.sequence)
	b = native.AppendUint32(b, 0)
	return native.AppendUint32(b, uint32(-int32(errno)))
}

// done returns the end of a dump that went well.
func done(to message) []byte { return end(to, unix.NLMSG_DONE, unix.NLM_F_MULTI, 0) }

// acknowledge returns the answer to an edit.
func acknowledge(to message, errno unix.Errno) []byte { return end(to, unix.NLMSG_ERROR, 0, errno) }
