package checker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// maxLine bounds a line of a protocol: it is the size of the buffer.
	maxLine = 4 << 10
	// maxLines bounds the lines of one reply.
	maxLines = 200
	// farewell is how long a probe waits for the other side to close after
	// a goodbye. The verdict stands by then.
	farewell = time.Second
)

// Encryption is how a probe encrypts its connection.
type Encryption string

// The ways to encrypt a connection.
const (
	Plain    Encryption = ""         // not at all
	TLSFirst Encryption = "tls"      // from the start
	StartTLS Encryption = "starttls" // from the protocol's own command on
)

// validate says which values are allowed, and what is wrong with the options
// that go with it.
func (e Encryption) validate(options TLSOptions, allowed ...Encryption) error {
	if e == Plain && options != (TLSOptions{}) {
		return errors.New("tls is given without encryption")
	}
	words := make([]string, 0, len(allowed))
	for _, a := range allowed {
		words = append(words, strconv.Quote(string(a)))
	}
	if e != Plain && !slices.Contains(allowed, e) {
		return fmt.Errorf("encryption %q is not possible here: %s, or empty for none", string(e), strings.Join(words, " or "))
	}
	if err := options.Validate(); err != nil {
		return fmt.Errorf("tls: %w", err)
	}
	return nil
}

// validateOver is validate for a protocol over TCP or UDP.
func (e Encryption) validateOver(options TLSOptions, network string, allowed ...Encryption) error {
	if e != Plain && network == "udp" {
		return fmt.Errorf("encryption %q is not possible over UDP", string(e))
	}
	return e.validate(options, allowed...)
}

// client returns the TLS of a probe; nil if it has none.
func (e Encryption) client(to endpoint, options TLSOptions) (*tlsClient, error) {
	if e == Plain {
		return nil, nil
	}
	return options.client(to.Addr().String())
}

// dialogue is a probe that speaks a protocol on a connection of its own. It is
// made once for a target.
type dialogue struct {
	to       endpoint
	network  string // "tcp" or "udp"
	protocol string // for the words of errors, such as "SMTP"
	crypt    Encryption
	secret   Secret     // never to be quoted
	client   *tlsClient // nil, or for crypt
	talk     func(*conversation) error
}

// newDialogue returns the checker that holds a conversation over TCP.
func newDialogue(to endpoint, protocol string, crypt Encryption, options TLSOptions, secret Secret, talk func(*conversation) error) (Checker, error) {
	client, err := crypt.client(to, options)
	if err != nil {
		return nil, err
	}
	return &dialogue{to: to, network: "tcp", protocol: protocol, crypt: crypt, client: client, secret: secret, talk: talk}, nil
}

// Check holds the conversation.
func (d *dialogue) Check(ctx context.Context) (Advice, error) {
	return insistent(d.client, func() (Advice, error) { return d.once(ctx) })
}

// once holds the conversation once.
func (d *dialogue) once(ctx context.Context) (Advice, error) {
	conn, end, err := d.to.connection(ctx, d.network)
	if err != nil {
		return Advice{}, err
	}
	defer end()
	s := &conversation{dialogue: d, ctx: ctx, conn: conn, in: readers.Get().(*bufio.Reader)}
	s.in.Reset(conn)
	defer func() {
		s.in.Reset(nil)
		readers.Put(s.in)
	}()
	if err = s.run(); err != nil {
		err = s.words(err) // before the goodbye, in which the time may run out
	}
	s.depart()
	if err != nil {
		return Advice{}, err
	}
	return s.tls.advice(), nil
}

// advice is what is to be said of the certificates of a target that works; of
// no TLS, nothing.
func (s *tlsSession) advice() Advice {
	if s == nil {
		return Advice{}
	}
	return Advice{Warning: s.warning(time.Now())}
}

// readers are the buffers of conversations.
var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, maxLine) }}

// conversation is one run of a dialogue.
type conversation struct {
	*dialogue
	ctx     context.Context // of this probe
	conn    net.Conn        // encrypted or not
	tls     *tlsSession     // nil in the clear
	in      *bufio.Reader   // what comes from conn
	waiting string          // for what, in the words of an error: "SMTP greeting"
	goodbye string          // to be said at the end
	hangsUp bool            // the end of what is sent is the goodbye
}

// run encrypts if that comes first, and talks.
func (s *conversation) run() error {
	if s.crypt == TLSFirst {
		if err := s.encrypt(); err != nil {
			return err
		}
	}
	return s.talk(s)
}

// encrypt goes on under TLS.
func (s *conversation) encrypt() error {
	if s.in.Buffered() > 0 {
		return fmt.Errorf("%s server went on in the clear after STARTTLS", s.protocol)
	}
	s.waiting = "TLS handshake"
	encrypted, err := s.client.handshake(s.conn)
	if encrypted != nil {
		s.conn, s.tls = encrypted, encrypted
		s.in.Reset(encrypted)
	}
	return err
}

// awaitedError is a timeout that says what was waited for.
type awaitedError struct {
	timeoutError
	what string
}

// Error returns the words for an administrator.
func (e awaitedError) Error() string { return e.timeoutError.Error() + " waiting for the " + e.what }

// words turns an error of the conversation into a few words.
func (s *conversation) words(err error) error {
	if s.tls != nil {
		if words := s.tls.explainAlert(err); words != nil {
			return describe(s.ctx, words, s.to.timeout)
		}
	}
	switch {
	case closed(err) && s.ctx.Err() == nil:
		return fmt.Errorf("connection closed before the %s", s.waiting)
	}
	err = describe(s.ctx, err, s.to.timeout)
	var timeout timeoutError
	if errors.As(err, &timeout) && s.waiting != "" {
		return awaitedError{timeout, s.waiting}
	}
	return err
}

// closed is true of what a connection that the other side has closed ends in:
// which one depends on who was faster.
func closed(err error) bool {
	for _, end := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.EPIPE, syscall.ECONNRESET} {
		if errors.Is(err, end) {
			return true
		}
	}
	return false
}

// write sends a text.
func (s *conversation) write(text string) error {
	_, err := io.WriteString(s.conn, text)
	return err
}

// line reads a line and returns it without its end.
func (s *conversation) line() (string, error) {
	line, err := s.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return "", fmt.Errorf("%s line over %d KiB: %q…", s.protocol, maxLine>>10, s.plain(string(line)))
	}
	if err != nil {
		return "", err
	}
	return strings.TrimRight(string(line), "\r\n"), nil
}

// part has the conversation end with a goodbye.
func (s *conversation) part(goodbye string) { s.goodbye = goodbye }

// hangUp is part for a protocol in a state that knows no goodbye.
func (s *conversation) hangUp() { s.hangsUp = true }

// depart says goodbye, and waits a moment for the other side to close, so that
// it has no broken connection to report.
func (s *conversation) depart() {
	conn, closes := s.conn.(interface{ CloseWrite() error })
	switch {
	case s.ctx.Err() != nil:
		return
	case s.goodbye != "" && s.write(s.goodbye) == nil,
		s.hangsUp && closes && conn.CloseWrite() == nil:
		awaitEnd(s.ctx, s.conn, s.in)
	}
}

// awaitEnd reads what the other side still has to say, which is not much, until
// it closes or a moment is over.
func awaitEnd(ctx context.Context, conn net.Conn, in io.Reader) {
	_ = conn.SetReadDeadline(time.Now().Add(farewell))
	if ctx.Err() == nil { // its own deadline may have been overwritten
		_, _ = io.Copy(io.Discard, io.LimitReader(in, maxReceived))
	}
}

// plain is what came in as it may be shown.
func (s *conversation) plain(text string) string { return printable(s.secret.hideIn(text)) }

// validateText says that a parameter has characters that would break a line of
// a protocol. It does not say which: it may be a secret.
func validateText(name, value string) error {
	if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fmt.Errorf("%s has control characters", name)
	}
	return nil
}

// validateLogin says what is wrong with a name and its password, of which
// neither is needed.
func validateLogin(user string, password Secret) error {
	if user == "" && password != (Secret{}) {
		return errors.New("password is given without user")
	}
	if err := validateText("user", user); err != nil {
		return err
	}
	return validateText("password", password.text())
}
