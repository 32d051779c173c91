package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Capture records what passes over the laboratory's LANs.
type Capture struct {
	conns []*packet.Conn
	done  sync.WaitGroup

	mu     sync.Mutex
	frames []Frame
	errs   []error
}

// Capture starts to record on both LANs. Stop ends it.
func (l *Lab) Capture() (*Capture, error) {
	c := &Capture{}
	l.onClose(func() error {
		_, err := c.Stop()
		return err
	})
	for _, lan := range []string{Public, Internal} {
		conn, raw, err := l.listen(lan)
		if err != nil {
			return nil, err
		}
		c.conns = append(c.conns, conn)
		c.done.Go(func() {
			err := receive(raw, func(f Frame) { c.add(lan, f) })
			c.mu.Lock()
			defer c.mu.Unlock()
			c.errs = append(c.errs, err)
		})
	}
	return c, nil
}

// Frames returns what has been recorded up to now, in the order of time.
func (c *Capture) Frames() []Frame {
	c.mu.Lock()
	defer c.mu.Unlock()
	frames := slices.Clone(c.frames)
	slices.SortStableFunc(frames, func(a, b Frame) int { return a.Time.Compare(b.Time) })
	return frames
}

// Stop ends the capture and returns what it has recorded. It can be called
// again.
func (c *Capture) Stop() ([]Frame, error) {
	for _, conn := range c.conns {
		conn.Close() // closed before: nothing to do
	}
	c.done.Wait()
	c.mu.Lock()
	err := errors.Join(c.errs...)
	c.mu.Unlock()
	return c.Frames(), err
}

// add records a frame of a LAN.
func (c *Capture) add(lan string, f Frame) {
	f.LAN = lan
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frames = append(c.frames, f)
}

// listen opens a packet socket on the bridge of a LAN that sees all that the
// bridge forwards, and its access to the system calls.
func (l *Lab) listen(lan string) (conn *packet.Conn, raw syscall.RawConn, err error) {
	filter, err := bpf.Assemble(interesting)
	if err != nil {
		return nil, nil, fmt.Errorf("filter of the capture: %v", err)
	}
	err = l.bridges.Do(func() error {
		iface, err := net.InterfaceByName(lan)
		if err != nil {
			return err
		}
		conn, err = packet.Listen(iface, packet.Raw, unix.ETH_P_ALL, &packet.Config{Filter: filter})
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("capture on LAN %s: %v", lan, err)
	}
	raw, err = conn.SyscallConn()
	if err == nil {
		// Unicast passes by the bridge itself unless it asks for it.
		err = errors.Join(conn.SetPromiscuous(true), stampTime(raw))
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("capture on LAN %s: %v", lan, err), conn.Close())
	}
	return conn, raw, nil
}

// interesting is a socket filter that lets ARP, VRRP and ICMPv6 pass.
var interesting = []bpf.Instruction{
	bpf.LoadAbsolute{Off: 12, Size: 2},
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: etherTypeARP, SkipTrue: 7},
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: etherTypeIPv6, SkipTrue: 3},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: etherTypeIPv4, SkipTrue: 6},
	bpf.LoadAbsolute{Off: 14 + 9, Size: 1},
	bpf.Jump{Skip: 1},
	bpf.LoadAbsolute{Off: 14 + 6, Size: 1},
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: protocolVRRP, SkipTrue: 1},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: protocolICMP6, SkipTrue: 1},
	bpf.RetConstant{Val: maxFrame},
	bpf.RetConstant{Val: 0},
}

// maxFrame is more than the largest frame of a LAN without jumbo frames.
const maxFrame = 2048

// stampTime has the kernel note when it receives each frame, so that a busy
// machine does not blur the capture.
func stampTime(raw syscall.RawConn) error {
	var failed error
	err := raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	})
	return errors.Join(err, failed)
}

// receive calls a function with each frame of interest until the socket is
// closed.
func receive(raw syscall.RawConn, record func(Frame)) error {
	frame, control := make([]byte, maxFrame), make([]byte, 128)
	for {
		var n, controlLen int
		var failed error
		closed := raw.Read(func(fd uintptr) bool {
			n, controlLen, _, _, failed = unix.Recvmsg(int(fd), frame, control, 0)
			return !errors.Is(failed, unix.EAGAIN) && !errors.Is(failed, unix.EINTR)
		})
		if closed != nil {
			return nil //nolint:nilerr // Stop has closed it
		}
		if failed != nil {
			return fmt.Errorf("receive captured frame: %v", failed)
		}
		if f, ok := parseFrame(frame[:n]); ok {
			f.Time = kernelTime(control[:controlLen])
			record(f)
		}
	}
}

// kernelTime finds the time of reception among the control messages of a
// packet; without one it is now.
func kernelTime(control []byte) time.Time {
	messages, _ := unix.ParseSocketControlMessage(control)
	for _, m := range messages {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == syscall.SCM_TIMESTAMPNS && len(m.Data) >= 16 {
			return time.Unix(nativeInt64(m.Data), nativeInt64(m.Data[8:]))
		}
	}
	return time.Now()
}

// nativeInt64 reads a number as this machine's kernel writes it.
func nativeInt64(b []byte) int64 { return int64(binary.NativeEndian.Uint64(b)) }
