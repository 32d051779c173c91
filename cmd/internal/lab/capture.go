package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// Capture records what passes over the laboratory's LANs, by tcpdump(8).
type Capture struct {
	dumps []*dump
	done  sync.WaitGroup

	mu     sync.Mutex
	frames []Frame
	errs   []error
}

// dump is tcpdump on one LAN.
type dump struct {
	lan    string
	cmd    *exec.Cmd
	stdout io.ReadCloser
	stderr bytes.Buffer // complete when the command has ended
}

// Capture starts to record on LANs (none named: on both): all that is sent
// after it returns. Stop ends it.
func (l *Lab) Capture(lans ...string) (*Capture, error) {
	if len(lans) == 0 {
		lans = []string{Public, Internal}
	}
	return l.captureOn(lans...)
}

// captureOn starts to record on the LANs of those names.
func (l *Lab) captureOn(lans ...string) (*Capture, error) {
	c := &Capture{}
	l.onClose(func() error {
		_, err := c.Stop()
		return err
	})
	for _, lan := range lans {
		d, packets, err := l.startDump(lan)
		if err != nil {
			return nil, err
		}
		c.dumps = append(c.dumps, d)
		c.done.Go(func() {
			err := c.receive(lan, packets)
			c.mu.Lock()
			defer c.mu.Unlock()
			c.errs = append(c.errs, err, d.wait())
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
// again. That the kernel had to drop packets is an error: what is said of
// such a capture may not be true.
func (c *Capture) Stop() ([]Frame, error) {
	for _, d := range c.dumps {
		_ = d.cmd.Process.Signal(syscall.SIGTERM) // ended before: nothing to do
	}
	c.done.Wait()
	c.mu.Lock()
	err := errors.Join(c.errs...)
	c.mu.Unlock()
	return c.Frames(), err
}

// receive records the frames of a LAN until tcpdump ends.
func (c *Capture) receive(lan string, packets *pcapReader) error {
	buffer := make([]byte, maxFrame)
	for {
		b, at, err := packets.next(buffer)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("capture on LAN %s: %v", lan, err)
		}
		if f, ok := parseFrame(b); ok {
			f.LAN, f.Time = lan, at
			c.mu.Lock()
			c.frames = append(c.frames, f)
			c.mu.Unlock()
		}
	}
}

// interesting is the filter for tcpdump that lets ARP, VRRP and ICMPv6 pass.
const interesting = "arp or ip proto 112 or ip6 proto 112 or icmp6"

// startDump runs tcpdump on the bridge of a LAN, where it sees all that the
// bridge forwards. It listens already when its header has come.
func (l *Lab) startDump(lan string) (*dump, *pcapReader, error) {
	d := &dump{lan: lan}
	d.cmd = l.bridges.Command(context.Background(), "tcpdump", "-i", lan, "-n", "-U", "-w", "-", "-Z", "root",
		"--immediate-mode", "--time-stamp-precision=nano", "--snapshot-length", fmt.Sprint(maxFrame), interesting)
	d.cmd.Stderr = &d.stderr
	stdout, err := d.cmd.StdoutPipe()
	if err != nil {
		return nil, nil, fmt.Errorf("tcpdump on LAN %s: %v", lan, err)
	}
	d.stdout = stdout
	if err := start(d.cmd); err != nil {
		return nil, nil, fmt.Errorf("tcpdump on LAN %s: %v", lan, err)
	}
	packets, err := newPCAPReader(stdout)
	if err != nil {
		_ = d.cmd.Process.Kill() // ended before: it has said why
		_ = d.cmd.Wait()
		return nil, nil, fmt.Errorf("tcpdump on LAN %s: %v: %s", lan, err, strings.TrimSpace(d.stderr.String()))
	}
	return d, packets, nil
}

// dropped finds in tcpdump's last words how many packets it has lost.
var dropped = regexp.MustCompile(`(?m)^([1-9][0-9]*) packets? dropped by (kernel|interface)$`)

// wait waits until tcpdump has ended, and says what it has lost. Its output
// has been read to the end by then, or is not wanted.
func (d *dump) wait() error {
	d.stdout.Close()
	err := d.cmd.Wait()
	if lost := dropped.FindString(d.stderr.String()); lost != "" {
		return fmt.Errorf("capture on LAN %s: %s", d.lan, lost)
	}
	if err != nil {
		return fmt.Errorf("tcpdump on LAN %s: %v: %s", d.lan, err, strings.TrimSpace(d.stderr.String()))
	}
	return nil
}
