package checker

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
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
)

// HTTP succeeds when one request is answered with an accepted status, and
// with an accepted body if there are demands on it. It neither follows
// redirects nor uses a proxy; a body that nothing is demanded of is not read.
type HTTP struct {
	Method   string // "GET", "HEAD", …
	Path     string // with its query
	Host     string // the Host header; empty: the target
	Status   string // accepted status codes, "200-399" or "200,204,301-308"
	Version  string // of HTTP: "1.1", which is also meant by "", or "2", in clear without an upgrade
	Headers  Headers
	User     string // for basic authentication; empty: none
	Password Secret
	Body     Body
	Secure   bool       // HTTPS
	TLS      TLSOptions // of HTTPS; it asks for the name in Host unless it has one
}

// Kind returns "http", or "https".
func (h HTTP) Kind() string {
	if h.Secure {
		return "https"
	}
	return "http"
}

// httpChecker is the probe of one target. What it sends is prepared once.
type httpChecker struct {
	target  endpoint
	client  *tlsClient    // nil in clear
	request *http.Request // never changed
	wire    []byte        // the request in HTTP/1.1
	version string
	accepts func(code int) bool
	status  string       // what accepts was made from, for the words of the error
	body    *bodyMatcher // nil: any
}

// checker returns the probe of one target.
func (h HTTP) checker(to endpoint) (Checker, error) { return h.newChecker(to) }

// newChecker returns the probe of one target.
func (h HTTP) newChecker(to endpoint) (*httpChecker, error) {
	accepts, err := ParseStatus(h.Status)
	if err != nil {
		return nil, fmt.Errorf("status %w", err)
	}
	body, err := h.Body.matcher()
	if err != nil {
		return nil, err
	}
	request, err := h.request(to)
	if err != nil {
		return nil, err
	}
	wire, err := wireForm(request)
	if err != nil {
		return nil, err
	}
	var alpn []string
	if h.Version == "2" {
		alpn = []string{"h2"}
	}
	client, err := tlsForHost(h.Secure, h.TLS, h.Host, to, alpn...)
	if err != nil {
		return nil, err
	}
	return &httpChecker{
		target: to, client: client, request: request, wire: wire, version: h.Version,
		accepts: accepts, status: h.Status, body: body,
	}, nil
}

// request returns the request to a target.
func (h HTTP) request(to endpoint) (*http.Request, error) {
	path, err := url.ParseRequestURI(h.Path)
	if err != nil {
		return nil, fmt.Errorf("path %q: %w", h.Path, err)
	}
	host := h.Host
	if host == "" {
		host = to.String()
	}
	path.Scheme, path.Host = h.Kind(), host
	header := http.Header{"User-Agent": {"bascule"}, "Accept": {"*/*"}}
	if h.User != "" {
		pair := base64.StdEncoding.EncodeToString([]byte(h.User + ":" + h.Password.text()))
		header["Authorization"] = []string{"Basic " + pair}
	}
	h.Headers.apply(header)
	return &http.Request{Method: h.Method, URL: path, Host: host, Close: true, Header: header}, nil
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
	case h.Version != "" && h.Version != "1.1" && h.Version != "2":
		return fmt.Errorf("version %q is neither \"1.1\" nor \"2\"", h.Version)
	}
	if _, err := url.ParseRequestURI(h.Path); err != nil {
		return fmt.Errorf("path %q is no HTTP path: a \"%%\" is written \"%%25\"", h.Path)
	}
	if _, err := ParseStatus(h.Status); err != nil {
		return fmt.Errorf("status %w", err)
	}
	return cmp.Or(validateHost(h.Host), h.validateUser(), h.validateBody(), validateTLS(h.Secure, h.TLS))
}

// validateUser checks the basic authentication.
func (h HTTP) validateUser() error {
	const control = "\x00\r\n"
	switch {
	case h.User == "" && h.Password != Secret{}:
		return errors.New("password is given without user")
	case strings.ContainsAny(h.User, ":"+control):
		return fmt.Errorf("user %q has a \":\" or a control character, which HTTP has no room for", h.User)
	case strings.ContainsAny(h.Password.text(), control):
		return errors.New("password has a control character")
	case h.User != "" && h.Headers.has("Authorization"):
		return errors.New("user is given, and so is the header \"Authorization\": one of them is enough")
	}
	return nil
}

// validateBody checks the demands on the body.
func (h HTTP) validateBody() error {
	if h.Body != (Body{}) && h.Method == http.MethodHead {
		return errors.New("method \"HEAD\" brings no body, of which something is demanded: \"GET\" does")
	}
	return h.Body.Validate()
}

// validateHost checks the name of a host, with or without a port.
func validateHost(host string) error {
	if strings.ContainsFunc(host, unprintable) || strings.ContainsAny(host, `/\@?#"`) {
		return fmt.Errorf("host %q is no host name: such as \"www.example.org\" or \"www.example.org:8080\"", host)
	}
	return nil
}

// tlsForHost returns the TLS of a check that may be in clear, nil if it is.
// It asks for the name of the host, or else for the address of the target.
func tlsForHost(secure bool, options TLSOptions, host string, to endpoint, alpn ...string) (*tlsClient, error) {
	if !secure {
		return nil, nil
	}
	name := (&url.URL{Host: host}).Hostname()
	if name == "" {
		name = to.Addr().String()
	}
	return options.client(name, alpn...)
}

// validateTLS checks the TLS of a check that may be in clear.
func validateTLS(secure bool, options TLSOptions) error {
	if !secure && options != (TLSOptions{}) {
		return errors.New("tls has options, but the check is in clear")
	}
	return options.Validate()
}

// unprintable is true of what would break a request line.
func unprintable(r rune) bool { return r <= ' ' || r >= 0x7f }

// Check makes one request on a connection of its own.
func (c *httpChecker) Check(ctx context.Context) (Advice, error) {
	return checkWithin(ctx, c)
}

// checkBy implements timely.
func (c *httpChecker) checkBy(ctx context.Context, deadline time.Time) (Advice, error) {
	s, err := c.target.open(ctx, deadline, c.client)
	if err != nil {
		return Advice{}, err
	}
	defer s.close()
	if c.version == "2" {
		err = c.exchange2(ctx, s)
	} else {
		err = c.exchange(s.Conn)
	}
	if err != nil {
		return Advice{}, s.explain(ctx, err)
	}
	return s.advice(), nil
}

// cooperates implements cooperative. TLS and the search in a body take their time,
// and HTTP/2 takes goroutines.
func (c *httpChecker) cooperates() bool {
	return c.target.cooperates() && c.client == nil && c.body == nil && c.version != "2"
}

// judge returns the verdict on a reply.
func (c *httpChecker) judge(code int, body io.Reader) error {
	if !c.accepts(code) {
		return fmt.Errorf("HTTP %d, wanted %s", code, c.status)
	}
	if c.body == nil {
		return nil
	}
	return c.body.judge(body)
}
