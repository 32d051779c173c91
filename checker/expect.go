package checker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"sync"
)

const (
	// maxReceived bounds what is kept of what comes between two steps.
	maxReceived = 64 << 10
	// maxScanned bounds how many bytes a step looks at, those again that it has
	// looked at before. What comes byte by byte would take a processor else.
	maxScanned = 4 << 20
)

// Expect succeeds when every step of a conversation does.
type Expect struct {
	Network    string     // "tcp" or "udp"
	Encryption Encryption // "tls", over TCP; for another moment there is a step
	TLS        TLSOptions // of the encryption
	Steps      Steps
}

// Kind returns "expect".
func (Expect) Kind() string { return "expect" }

// Validate says what is wrong with the parameters.
func (p Expect) Validate() error {
	if p.Network != "tcp" && p.Network != "udp" {
		return fmt.Errorf("network %q is not possible: \"tcp\" or \"udp\"", p.Network)
	}
	list := p.Steps.List()
	crypt := p.Encryption
	if crypt == Plain && slices.ContainsFunc(list, isUpgrade) {
		crypt = TLSFirst // sooner or later
	}
	if err := p.Encryption.validateOver(TLSOptions{}, p.Network, TLSFirst); err != nil {
		return err
	}
	if err := crypt.validate(p.TLS, TLSFirst); err != nil {
		return err
	}
	if len(list) == 0 {
		return errors.New("steps are missing")
	}
	if p.Network == "udp" {
		return validateUDP(list)
	}
	encrypted := p.Encryption == TLSFirst
	for i, step := range list {
		if step.Action != StepStartTLS {
			continue
		}
		if encrypted {
			return fmt.Errorf("steps: step %d: starttls under TLS", i+1)
		}
		encrypted = true
	}
	return nil
}

// isUpgrade is true of a step that goes on under TLS.
func isUpgrade(step Step) bool { return step.Action == StepStartTLS }

// validateUDP says what is wrong with steps over UDP.
func validateUDP(list []Step) error {
	switch {
	case list[0].Action != StepSend:
		return errors.New("steps: over UDP the first step is a send: nobody answers what was not asked")
	case list[len(list)-1].Action == StepSend:
		return errors.New("steps: over UDP the last step is an expect or a match: a send alone proves nothing")
	}
	for i, step := range list {
		if step.Action == StepStartTLS {
			return fmt.Errorf("steps: step %d: starttls is not possible over UDP", i+1)
		}
	}
	return nil
}

// expectStep is a step that is ready to run.
type expectStep struct {
	Step
	expression *regexp.Regexp // of StepMatch
}

// expectChecker is the probe of one target.
type expectChecker struct {
	to      endpoint
	network string
	crypt   Encryption
	client  *tlsClient // nil, or for all steps
	steps   []expectStep
}

// checker returns the probe of one target.
func (p Expect) checker(to endpoint) (Checker, error) {
	c := &expectChecker{to: to, network: p.Network, crypt: p.Encryption}
	if p.Encryption == TLSFirst || slices.ContainsFunc(p.Steps.List(), isUpgrade) {
		var err error
		if c.client, err = p.TLS.client(to.Addr().String()); err != nil {
			return nil, err
		}
	}
	for _, step := range p.Steps.List() {
		ready := expectStep{Step: step}
		if step.Action == StepMatch {
			var err error
			if ready.expression, err = step.expression(); err != nil {
				return nil, err
			}
		}
		c.steps = append(c.steps, ready)
	}
	return c, nil
}

// received are the buffers for what comes, if packetBuffers are too small.
var received = sync.Pool{New: func() any { return new([maxReceived]byte) }}

// Check takes every step.
func (c *expectChecker) Check(ctx context.Context) (Advice, error) {
	return insistent(c.client, func() (Advice, error) { return c.once(ctx) })
}

// once takes every step once.
func (c *expectChecker) once(ctx context.Context) (Advice, error) {
	conn, end, err := c.to.connection(ctx, c.network)
	if err != nil {
		return Advice{}, err
	}
	defer end()
	small := packetBuffers.Get().(*[maxPacket]byte)
	defer packetBuffers.Put(small)
	run := &expectRun{c: c, conn: conn, buffer: small[:]}
	defer run.release()
	if c.network == "udp" {
		run.enlarge() // what does not fit of a datagram is lost
	}
	if c.crypt == TLSFirst {
		if err := run.encrypt(); err != nil {
			return Advice{}, c.words(ctx, err, run)
		}
	}
	for i, step := range c.steps {
		if err := run.take(step); err != nil {
			return Advice{}, fmt.Errorf("step %d: %w", i+1, c.words(ctx, err, run))
		}
	}
	if c.steps[len(c.steps)-1].Action == StepSend { // a goodbye
		awaitEnd(ctx, conn, conn)
	}
	return run.tls.advice(), nil
}

// expectRun is one run of the steps.
type expectRun struct {
	c       *expectChecker
	conn    net.Conn
	tls     *tlsSession // nil in the clear
	buffer  []byte      // of which got are filled
	got     int         // since the last step
	waiting string      // for what, in the words of an error
	large   *[maxReceived]byte
}

// enlarge takes a larger buffer. Few probes need one, and thousands may wait.
func (r *expectRun) enlarge() {
	r.large = received.Get().(*[maxReceived]byte)
	copy(r.large[:], r.buffer[:r.got])
	r.buffer = r.large[:]
}

// release gives the larger buffer back.
func (r *expectRun) release() {
	if r.large != nil {
		received.Put(r.large)
	}
}

// encrypt goes on under TLS.
func (r *expectRun) encrypt() error {
	encrypted, err := r.c.client.handshake(r.conn)
	if err != nil {
		return err
	}
	r.conn, r.tls = encrypted, encrypted
	return nil
}

// take takes one step.
func (r *expectRun) take(step expectStep) error {
	r.waiting = ""
	switch step.Action {
	case StepSend:
		r.got = 0
		_, err := io.WriteString(r.conn, step.Data)
		return err
	case StepStartTLS:
		if r.got > 0 {
			return fmt.Errorf("got %q before TLS, beyond what the step before wants", printable(string(r.buffer[:r.got])))
		}
		return r.encrypt()
	}
	r.waiting = step.wanted()
	for scanned := 0; ; {
		if end := step.find(r.buffer[:r.got]); end >= 0 {
			r.got = copy(r.buffer, r.buffer[end:r.got]) // the rest is for the next step
			return nil
		}
		scanned += r.got
		switch {
		case scanned > maxScanned:
			return errPieces
		case r.got == maxReceived:
			return errTooMuch
		case r.got == len(r.buffer):
			r.enlarge()
		}
		n, err := r.conn.Read(r.buffer[r.got:])
		r.got += n
		if err != nil && n == 0 {
			return err
		}
	}
}

// errTooMuch says that the buffer is full.
var errTooMuch = fmt.Errorf("not within %d KiB", maxReceived>>10)

// errPieces says that what comes is not worth looking at any more.
var errPieces = errors.New("in too many pieces")

// find returns where in what came the end of what is wanted is, or -1.
func (s expectStep) find(got []byte) int {
	if s.Action == StepMatch {
		if at := s.expression.FindIndex(got); at != nil {
			return at[1]
		}
		return -1
	}
	if at := bytes.Index(got, []byte(s.Data)); at >= 0 {
		return at + len(s.Data)
	}
	return -1
}

// words turns an error into a few words, with what came and what was wanted.
// What ended the wait is left out if something came that was not wanted.
func (c *expectChecker) words(ctx context.Context, err error, r *expectRun) error {
	var network net.Error
	end := err
	if r.tls != nil {
		if words := r.tls.explainAlert(err); words != nil {
			end, err = words, words
		}
	}
	switch {
	case closed(err) && ctx.Err() == nil:
		end = errors.New("connection closed")
	case errors.As(err, &network), ctx.Err() != nil:
		end = describe(ctx, err, c.to.timeout)
	}
	var local *LocalError
	if r.waiting == "" || errors.Is(end, context.Canceled) || errors.As(end, &local) {
		return end
	}
	if r.got == 0 {
		return fmt.Errorf("%w, wanted %s", end, r.waiting)
	}
	return fmt.Errorf("got %q, wanted %s (%w)", printable(string(r.buffer[:r.got])), r.waiting, end)
}
