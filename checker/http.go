package checker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

const (
	// maxHeader bounds what is read of a reply: a status line and headers
	// that are longer come from something that is no web server in order.
	maxHeader = 64 << 10
	// maxInterim is how many 1xx replies may precede the real one.
	maxInterim = 8
	// maxQuoted is how much of a foreign text goes into a reason.
	maxQuoted = 80
)

// httpChecker succeeds when one request is answered with an accepted status.
// It neither follows redirects nor uses a proxy nor reads the body: the status
// line is the verdict.
type httpChecker struct {
	target  netip.AddrPort
	timeout time.Duration // of a whole probe, for the words of the error
	method  string
	url     *url.URL
	host    string
	accepts func(code int) bool
	status  string // what accepts was made from, for the words of the error
}

// newHTTPChecker checks the HTTP parameters of a Spec.
func newHTTPChecker(target netip.AddrPort, spec Spec) (*httpChecker, error) {
	if err := spec.HTTP.Validate(); err != nil {
		return nil, err
	}
	path, err := url.ParseRequestURI(spec.HTTP.Path)
	if err != nil {
		return nil, fmt.Errorf("path %q: %w", spec.HTTP.Path, err)
	}
	accepts, err := ParseStatus(spec.HTTP.Status)
	if err != nil {
		return nil, fmt.Errorf("status %w", err)
	}
	host := spec.HTTP.Host
	if host == "" {
		host = target.String()
	}
	path.Scheme, path.Host = "http", host
	return &httpChecker{
		target: target, timeout: spec.Timeout, method: spec.HTTP.Method,
		url: path, host: host, accepts: accepts, status: spec.HTTP.Status,
	}, nil
}

// Validate says what is wrong with the parameters of an HTTP check, beginning
// with the name of the parameter.
func (h HTTP) Validate() error {
	switch {
	case h.Method == "" || strings.Trim(h.Method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-") != "":
		return fmt.Errorf("method %q is no HTTP method: a word in capitals, such as \"GET\" or \"HEAD\"", h.Method)
	case h.Method == http.MethodConnect:
		return fmt.Errorf("method %q is for proxies: \"GET\" or \"HEAD\" is usual", h.Method)
	case !strings.HasPrefix(h.Path, "/") || strings.ContainsFunc(h.Path, unprintable) || strings.Contains(h.Path, "#"):
		return fmt.Errorf("path %q is no HTTP path: it begins with \"/\" and has no spaces and no \"#\"", h.Path)
	case strings.ContainsFunc(h.Host, unprintable) || strings.ContainsAny(h.Host, `/\@?#"`):
		return fmt.Errorf("host %q is no host name: such as \"www.example.org\" or \"www.example.org:8080\"", h.Host)
	}
	if _, err := url.ParseRequestURI(h.Path); err != nil {
		return fmt.Errorf("path %q is no HTTP path: a \"%%\" is written \"%%25\"", h.Path)
	}
	if _, err := ParseStatus(h.Status); err != nil {
		return fmt.Errorf("status %w", err)
	}
	return nil
}

// unprintable is true of what would break a request line.
func unprintable(r rune) bool { return r <= ' ' || r >= 0x7f }

// Check makes one request on a connection of its own.
func (c *httpChecker) Check(ctx context.Context) error {
	conn, err := dial(ctx, c.target)
	if err != nil {
		return describe(ctx, err, c.timeout)
	}
	defer func() { _ = conn.Close() }()
	// The deadline in the past makes the calls below return when ctx ends.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	code, err := c.exchange(conn)
	if err != nil {
		return describe(ctx, err, c.timeout)
	}
	if !c.accepts(code) {
		return fmt.Errorf("HTTP %d, wanted %s", code, c.status)
	}
	return nil
}

// exchange sends the request and returns the status of the reply.
func (c *httpChecker) exchange(conn net.Conn) (code int, err error) {
	request := &http.Request{
		Method: c.method, URL: c.url, Host: c.host, Close: true,
		Header: http.Header{"User-Agent": {"bascule"}, "Accept": {"*/*"}},
	}
	if err := request.Write(conn); err != nil {
		return 0, err
	}
	limited := &io.LimitedReader{R: conn, N: maxHeader}
	buffer := bufio.NewReader(limited)
	if err := expectHTTP(buffer); err != nil {
		return 0, replyError(err, false)
	}
	for range maxInterim {
		reply, err := http.ReadResponse(buffer, request)
		if err != nil {
			return 0, replyError(err, limited.N == 0)
		}
		_ = reply.Body.Close() // of an interim reply it is empty, of the last one nobody needs it
		final := reply.StatusCode >= 200 || reply.StatusCode == http.StatusSwitchingProtocols
		if final {
			return reply.StatusCode, nil
		}
	}
	return 0, fmt.Errorf("more than %d interim HTTP replies", maxInterim)
}

// expectHTTP says what came instead of HTTP, such as the greeting of another
// protocol.
func expectHTTP(reply *bufio.Reader) error {
	const version = "HTTP/"
	start, err := reply.Peek(len(version))
	if err != nil || string(start) == version {
		return err
	}
	start, _ = reply.Peek(min(reply.Buffered(), maxQuoted))
	line, _, _ := strings.Cut(string(start), "\n")
	return errors.New(strings.TrimRight(line, "\r"))
}

// replyError puts the reason why a reply could not be read into words.
func replyError(err error, overlong bool) error {
	var network net.Error
	switch {
	case overlong:
		return fmt.Errorf("HTTP header over %d KiB", maxHeader>>10)
	case errors.As(err, &network):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("connection closed before a whole HTTP header")
	}
	text := fmt.Sprintf("%q", err.Error())
	if len(text) > maxQuoted {
		text = text[:maxQuoted] + `…"`
	}
	return fmt.Errorf("not an HTTP reply: %s", text)
}
