package ipvs

import (
	"cmp"
	"errors"
	"fmt"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// familyName is what generic netlink knows IPVS by.
const familyName = "IPVS"

// attempts is how often a request is made whose answer gets lost.
const attempts = 5

// batchSize is how many requests are sent at once: their answers must fit into
// the receive buffer even if it could not be enlarged.
const batchSize = 64

// errNoAnswer says that a request was not answered.
var errNoAnswer = errors.New("no answer from the kernel")

// errInterrupted says that what is read changed meanwhile, each time.
var errInterrupted = fmt.Errorf("changed while it was read, %d times", attempts)

// transport carries netlink messages to the kernel and back. A socket is one.
// The kernel has answered when Send returns, so that nothing waits for an
// answer: one that is not there will not come. That happens: the kernel does
// not answer what was interrupted, as the end of a sync daemon is if it has
// not begun to run.
type transport interface {
	Send(messages []byte) error
	Receive(buf []byte) (int, error)
	Close() error
}

// conn is a connection to the IPVS of the kernel. What is lost on it is asked
// for again: answers that did not fit into the socket, and dumps of what
// changed in between.
type conn struct {
	transport
	family   uint16 // the number that the kernel gave to IPVS when the module was loaded
	sequence uint32 // of the latest request
	out      encoder
	in       []byte
}

// newConn returns a connection that does not know the family yet.
func newConn(t transport) *conn {
	return &conn{transport: t, in: make([]byte, 64<<10)}
}

// message is one netlink message from the kernel.
type message struct {
	kind, flags uint16
	sequence    uint32
	data        []byte
}

// messages cuts what was received into messages, and stops early if visit
// returns an error.
func messages(b []byte, visit func(message) error) error {
	for len(b) > 0 {
		if len(b) < unix.NLMSG_HDRLEN {
			return errMalformed
		}
		length := int(native.Uint32(b))
		if length < unix.NLMSG_HDRLEN || length > len(b) {
			return errMalformed
		}
		m := message{native.Uint16(b[4:]), native.Uint16(b[6:]), native.Uint32(b[8:]), b[unix.NLMSG_HDRLEN:length]}
		if err := visit(m); err != nil {
			return err
		}
		b = b[min(align(length), len(b)):]
	}
	return nil
}

// errno returns the error in a message that ends an answer.
func (m message) errno() error {
	if len(m.data) < 4 {
		return nil // a dump that ended well need not say so
	}
	if code := int32(native.Uint32(m.data)); code < 0 {
		return syscall.Errno(-code)
	}
	return nil
}

// attributes returns the attributes of an answer, which are behind the header
// of generic netlink.
func (m message) attributes() ([]byte, error) {
	if len(m.data) < nl.SizeofGenlmsg {
		return nil, errMalformed
	}
	return m.data[nl.SizeofGenlmsg:], nil
}

// refresh asks for the number of the family, and says whether it is another
// than before. Recent kernels load the module on this question.
func (c *conn) refresh() (changed bool, err error) {
	var id uint16
	err = c.query(
		func() { c.out.familyQuestion(c.sequence) },
		func() {},
		func(b []byte) error {
			for kind, v := range attributes(b) {
				if kind == nl.GENL_CTRL_ATTR_FAMILY_ID {
					id = v.uint16()
				}
			}
			return nil
		})
	switch {
	case errors.Is(err, unix.ENOENT):
		return false, ErrNoIPVS
	case err != nil:
		return false, err
	case id == 0:
		return false, errMalformed
	}
	changed = id != c.family
	c.family = id
	return changed, nil
}

// ask makes a request that is answered with attributes: of one object, or with
// NLM_F_DUMP of many. What it is about is appended by about. If the answer has
// to be asked for again, reset forgets what was visited of the first one.
func (c *conn) ask(command Command, flags uint16, about, reset func(), visit func([]byte) error) error {
	return c.query(func() {
		start := c.out.begin(c.family, flags, c.sequence, uint8(command), 1)
		about()
		c.out.end(start)
	}, reset, visit)
}

// query is ask for any family; build builds the message.
func (c *conn) query(build, reset func(), visit func([]byte) error) error {
	var err error
	for range attempts {
		reset()
		c.sequence++
		c.out.buf = c.out.buf[:0]
		build()
		if err = c.Send(c.out.buf); err == nil {
			err = c.answer(visit)
		}
		if !lost(err) {
			break
		}
		c.settle()
	}
	return err
}

// settle receives what is left of earlier answers. The kernel goes on with a
// dump only as its parts are received, and refuses another one with EBUSY
// until it has ended: one in which it ran out of memory stays begun.
func (c *conn) settle() {
	for {
		if _, err := c.Receive(c.in); err != nil && !passing(err) {
			return
		}
	}
}

// passing says whether more can be received after an error: the next message
// is another one.
func passing(err error) bool {
	return errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.EMSGSIZE) || errors.Is(err, errMalformed)
}

// lost says whether a request may succeed if it is made once more, because its
// answer is of no use.
func lost(err error) bool {
	return errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.EBUSY) || errors.Is(err, errInterrupted) || errors.Is(err, errNoAnswer)
}

// answer visits what answers the latest request, to its end.
func (c *conn) answer(visit func([]byte) error) error {
	// The kernel goes on with a dump only as it is received, and refuses another
	// one until its end: what is wrong with a part of it is told then.
	var first error
	for ended := false; !ended; {
		err := c.receive(func(m message) error {
			if m.sequence == c.sequence && !ended {
				err := c.part(m, visit, &ended)
				if first == nil {
					first = err
				}
			}
			return nil
		})
		switch {
		case err == nil:
		case errors.Is(err, unix.ENOBUFS) || first == nil && passing(err):
			first = err
		case !passing(err):
			return cmp.Or(first, err)
		}
	}
	return first
}

// part takes one message of an answer, and says whether it is the last one.
func (c *conn) part(m message, visit func([]byte) error, ended *bool) error {
	switch m.kind {
	case unix.NLMSG_NOOP:
		return nil
	case unix.NLMSG_OVERRUN:
		return unix.ENOBUFS
	}
	var err error
	switch m.kind {
	case unix.NLMSG_DONE, unix.NLMSG_ERROR:
		*ended = true
		err = m.errno()
	default:
		*ended = m.flags&unix.NLM_F_MULTI == 0
		var b []byte
		if b, err = m.attributes(); err == nil {
			err = visit(b)
		}
	}
	if err == nil && m.flags&unix.NLM_F_DUMP_INTR != 0 {
		err = errInterrupted
	}
	return err
}

// receive visits what the kernel has sent.
func (c *conn) receive(visit func(message) error) error {
	n, err := c.Receive(c.in)
	if errors.Is(err, unix.EAGAIN) {
		return errNoAnswer
	}
	if err != nil {
		return err
	}
	return messages(c.in[:n], visit)
}

// edit makes requests in order, many at a time, and puts their errors into
// errs.
func (c *conn) edit(requests []Request, errs []error) {
	for len(requests) > 0 {
		n := min(len(requests), batchSize)
		c.editBatch(requests[:n], errs[:n])
		requests, errs = requests[n:], errs[n:]
	}
}

// editBatch makes requests that are sent at once. Those whose answer is lost
// are made again, for as long as some of them are answered; if what was to be
// deleted is not there then, it is deleted.
func (c *conn) editBatch(requests []Request, errs []error) {
	waiting := make([]int, len(requests))
	for i := range requests {
		waiting[i] = i
	}
	var err error
	for failures, again := 0, false; failures < attempts && len(waiting) > 0; again = true {
		base, asked := c.sequence, waiting
		if err = c.sendBatch(requests, asked); err == nil {
			waiting, err = c.acknowledgements(base, asked, errs)
		}
		for _, i := range asked {
			if again && gone(requests[i].Command, errs[i]) {
				errs[i] = nil
			}
		}
		switch {
		case !lost(err):
			failures = attempts
		case len(waiting) == len(asked):
			failures++
		default:
			failures = 0
		}
	}
	for _, i := range waiting {
		errs[i] = err
	}
}

// sendBatch sends the requests of the given indices, with the sequence numbers
// that follow the latest.
func (c *conn) sendBatch(requests []Request, indices []int) error {
	c.out.buf = c.out.buf[:0]
	for _, i := range indices {
		c.sequence++
		start := c.out.begin(c.family, unix.NLM_F_ACK, c.sequence, uint8(requests[i].Command), 1)
		c.out.request(&requests[i])
		c.out.end(start)
	}
	return c.Send(c.out.buf)
}

// acknowledgements puts the answers to a batch into errs and returns the
// indices of those that did not come, with the reason.
func (c *conn) acknowledgements(base uint32, indices []int, errs []error) (missing []int, err error) {
	answered := make([]bool, len(indices))
	left := len(indices)
	for left > 0 {
		err = c.receive(func(m message) error {
			n := m.sequence - base - 1
			if m.kind == unix.NLMSG_ERROR && n < uint32(len(indices)) && !answered[n] {
				answered[n] = true
				errs[indices[n]] = m.errno()
				left--
			}
			return nil
		})
		// What follows a loss is there still.
		if err != nil && !passing(err) {
			break
		}
	}
	if left == 0 {
		return nil, nil
	}
	for n, i := range indices {
		if !answered[n] {
			missing = append(missing, i)
		}
	}
	return missing, err
}
