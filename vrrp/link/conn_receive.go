package link

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"bascule/vrrp"
)

// How much is read at a time.
const (
	gatherTime = time.Millisecond // between looks at a socket while there is a stream of packets
	batchMax   = 32               // packets that Receive hands over at once
	drainMax   = 1024             // packets, so that a flood cannot hold up the caller of Drain
	refusedMax = 1024             // packets, so that a flood of what cannot be parsed cannot either
)

// started is what all sockets count gatherTime from, so that they look at the
// same time.
var started = time.Now()

// Receive hands over packets until the socket is closed or fails. While they
// come one upon the other it looks once in every gatherTime, and hands over
// together what has arrived by then: to be woken for a packet costs more than
// all that is done with it. Who cannot wait for that calls Drain.
func (c *conn) Receive(deliver func(vrrp.Batch)) error {
	var last time.Time
	for stream := false; ; {
		if !stream {
			if err := c.ready.wait(); err != nil {
				return err
			}
		}
		soon := time.Since(last) < 2*gatherTime
		if soon {
			time.Sleep(gatherTime - time.Since(started)%gatherTime)
		}
		n, err := c.empty(deliver)
		if err != nil {
			return err
		}
		stream, last = soon && n > 0, time.Now()
	}
}

// empty hands over what the socket holds until it is empty, and returns how
// many packets that were.
func (c *conn) empty(deliver func(vrrp.Batch)) (n int, err error) {
	for dry := false; !dry && err == nil; {
		err = c.control(func(fd int) (err error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.queue, dry, err = c.read(fd, c.queue, batchMax)
			n += len(c.queue)
			return err
		})
		c.handOver(deliver)
	}
	return n, err
}

// handOver empties the queue. A packet leaves it only once it was delivered,
// so that Drain never overlooks one that is on its way.
func (c *conn) handOver(deliver func(vrrp.Batch)) {
	for {
		c.mu.Lock()
		n := min(len(c.queue), batchMax)
		if n == 0 {
			c.queue = nil
			c.mu.Unlock()
			return
		}
		next := vrrp.Batch(c.queue[:n:n])
		c.mu.Unlock()
		deliver(next)
		c.mu.Lock()
		c.queue = c.queue[n:]
		c.mu.Unlock()
	}
}

// Drain hands over the packets that have arrived and were not delivered yet,
// without waiting, although another goroutine may wait in Receive. It hands
// over in the order of arrival, and so does Receive; between the two there is
// no order. Packets that Receive is still handing over come by both, and
// again by each Drain until then. Who handles what Receive has delivered
// before what Drain hands over hears the packet that arrived last also last.
func (c *conn) Drain(deliver func(vrrp.Batch)) {
	if all := c.collect(); len(all) > 0 {
		deliver(all)
	}
}

// collect reads what has arrived. If Receive is still handing over older
// packets, it hands over the newer ones after them once more, so that an older
// one is not the last that is heard. What such a queue has no room for stays
// in the socket, whose buffer bounds it.
func (c *conn) collect() vrrp.Batch {
	c.mu.Lock()
	defer c.mu.Unlock()
	underWay := len(c.queue)
	all := slices.Clone(c.queue)
	// A socket that has been closed has nothing more to say.
	_ = c.control(func(fd int) (err error) {
		all, _, err = c.read(fd, all, drainMax-underWay)
		return err
	})
	if underWay > 0 {
		c.queue = append(c.queue, all[underWay:]...)
	}
	return all
}

// read appends up to limit packets that the socket holds to list. Those that
// cannot be parsed do not count, but have a limit of their own. It does not
// wait: dry says that the socket holds no more. The error is never EAGAIN.
func (c *conn) read(fd int, list []vrrp.Received, limit int) (out []vrrp.Received, dry bool, err error) {
	var payloads []byte // of all packets; what moves when this grows stays where it was, too
	for kept, refused := 0, 0; kept < limit && refused < refusedMax; {
		n, control, from, err := c.wire.read(fd, c.buf, c.oob)
		switch {
		case err == nil:
		case errors.Is(err, unix.EAGAIN):
			return list, true, nil
		case errors.Is(err, unix.EINTR):
			continue
		default:
			return list, false, os.NewSyscallError("read", err)
		}
		p, err := c.parse(n, control, from)
		if err != nil {
			c.log.Debug("dropped a packet", "interface", c.iface, "error", err)
			refused++
			continue
		}
		start := len(payloads)
		payloads = append(payloads, p.Payload...)
		p.Interface, p.Payload = c.iface, payloads[start:len(payloads):len(payloads)]
		list = append(list, p)
		kept++
	}
	return list, false, nil
}

// parse reads the packet in the buffers, of which n bytes and that many of
// control messages arrived.
func (c *conn) parse(n, control int, from unix.Sockaddr) (vrrp.Received, error) {
	if n > receiveLen {
		return vrrp.Received{}, fmt.Errorf("packet of more than %d bytes, which no advertisement has", receiveLen)
	}
	return c.wire.parse(c.buf[:n], c.oob[:control], from)
}
