package link

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// subscriptionBuffer holds the notifications of several thousand changes.
const subscriptionBuffer = 4 << 20

// hint says that something changed on an interface. The name is empty where
// the kernel gives the index only.
type hint struct {
	index int
	name  string
}

// subscription is a source of hints. Receive waits for the next ones;
// unix.ENOBUFS says that some were lost, any other error ends it.
type subscription interface {
	Receive() ([]hint, error)
	Close()
}

// monitor turns notifications of the kernel into hints, for ever.
type monitor struct {
	log       *slog.Logger
	subscribe func() (subscription, error)
	hint      func(hint)
	resync    func() // hints may have been lost: look at everything
	problem   problem
}

// run listens until ctx ends, and subscribes again when the subscription breaks.
func (m *monitor) run(ctx context.Context) {
	var retry backoff
	for ctx.Err() == nil {
		err := m.listen(ctx, &retry)
		if ctx.Err() != nil {
			return
		}
		m.problem.set(m.log, "", fmt.Errorf("notifications of the kernel: %w", err))
		sleep(ctx, retry.next())
	}
}

// listen uses one subscription until it breaks.
func (m *monitor) listen(ctx context.Context, retry *backoff) error {
	s, err := m.subscribe()
	if err != nil {
		return err
	}
	defer s.Close()
	defer context.AfterFunc(ctx, s.Close)()
	// What changed before the subscription began is known to nobody.
	m.resync()
	m.problem.clear()
	for {
		hints, err := s.Receive()
		switch {
		case errors.Is(err, unix.ENOBUFS):
			m.log.Warn("notifications of the kernel were lost, reading everything again")
			m.resync()
		case err != nil:
			return err
		default:
			retry.reset()
			for _, h := range hints {
				m.hint(h)
			}
		}
	}
}

// netlinkSubscription is a subscription to the kernel. The library's own
// ends with the first error of any kind and hides which one it was, so this
// one reads the library's socket itself.
type netlinkSubscription struct{ socket *nl.NetlinkSocket }

// subscribe opens a subscription to changes of links and addresses.
func subscribe() (subscription, error) {
	s, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR)
	if err != nil {
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	// Beyond the system's limit, which is too small for a host of many
	// addresses; without the privilege the limit has to do.
	if err := s.SetReceiveBufferSize(subscriptionBuffer, true); err != nil {
		if err := s.SetReceiveBufferSize(subscriptionBuffer, false); err != nil {
			s.Close()
			return nil, fmt.Errorf("set the receive buffer: %w", err)
		}
	}
	return &netlinkSubscription{socket: s}, nil
}

// Close ends the subscription and a waiting Receive.
func (s *netlinkSubscription) Close() { s.socket.Close() }

// Receive waits for notifications.
func (s *netlinkSubscription) Receive() ([]hint, error) {
	messages, from, err := s.socket.Receive()
	if err != nil {
		return nil, err
	}
	if from.Pid != nl.PidKernel {
		return nil, nil
	}
	hints := make([]hint, 0, len(messages))
	for _, m := range messages {
		if h, ok := parseHint(m); ok {
			hints = append(hints, h)
		}
	}
	return hints, nil
}

// parseHint reads the index, and the name if there is one, from a
// notification of a link or an address.
func parseHint(m syscall.NetlinkMessage) (hint, bool) {
	switch m.Header.Type {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		if len(m.Data) < unix.SizeofIfInfomsg {
			return hint{}, false
		}
		h := hint{index: int(nl.DeserializeIfInfomsg(m.Data).Index)}
		h.name = interfaceName(m.Data[unix.SizeofIfInfomsg:])
		return h, true
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		if len(m.Data) < unix.SizeofIfAddrmsg {
			return hint{}, false
		}
		return hint{index: int(nl.DeserializeIfAddrmsg(m.Data).Index)}, true
	}
	return hint{}, false
}

// interfaceName finds IFLA_IFNAME among attributes, empty if it is not there
// or the message is cut short. (The library's parser trusts the lengths.)
func interfaceName(attrs []byte) string {
	for len(attrs) >= unix.SizeofRtAttr {
		length := int(binary.NativeEndian.Uint16(attrs))
		if length < unix.SizeofRtAttr || length > len(attrs) {
			return ""
		}
		if binary.NativeEndian.Uint16(attrs[2:]) == unix.IFLA_IFNAME {
			return unix.ByteSliceToString(attrs[unix.SizeofRtAttr:length])
		}
		aligned := (length + unix.NLMSG_ALIGNTO - 1) &^ (unix.NLMSG_ALIGNTO - 1)
		attrs = attrs[min(aligned, len(attrs)):]
	}
	return ""
}
