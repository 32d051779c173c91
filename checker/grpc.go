package checker

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	// grpcMethod is the path of the call, as the health checking protocol of
	// gRPC has it.
	grpcMethod = "/grpc.health.v1.Health/Check"
	// maxGRPCMessage bounds a reply, of which two bytes are needed.
	maxGRPCMessage = 64 << 10
)

// GRPC succeeds when a server answers the call Check of grpc.health.v1.Health
// with SERVING.
type GRPC struct {
	Service string     // the service to ask for; empty: the server as a whole
	Host    string     // the authority of the call; empty: the target
	Secure  bool       // over TLS; otherwise in clear
	TLS     TLSOptions // if it is; it asks for the name in Host unless it has one
}

// Kind returns "grpc".
func (GRPC) Kind() string { return "grpc" }

// Validate says what is wrong with the parameters, beginning with the name of
// the parameter.
func (g GRPC) Validate() error {
	const longest = 1024
	if len(g.Service) > longest || !utf8.ValidString(g.Service) {
		return fmt.Errorf("service %q is no name of a service: up to %d bytes of UTF-8", g.Service, longest)
	}
	return cmp.Or(validateHost(g.Host), validateTLS(g.Secure, g.TLS))
}

// grpcChecker is the probe of one target.
type grpcChecker struct {
	target  endpoint
	client  *tlsClient    // nil in clear
	request *http.Request // without its body; never changed
	message []byte        // the body
	service string
}

// checker returns the probe of one target.
func (g GRPC) checker(to endpoint) (Checker, error) {
	client, err := tlsForHost(g.Secure, g.TLS, g.Host, to, "h2")
	if err != nil {
		return nil, err
	}
	c := &grpcChecker{target: to, client: client, message: grpcRequest(g.Service), service: g.Service}
	host, scheme := g.Host, "http"
	if host == "" {
		host = to.String()
	}
	if g.Secure {
		scheme = "https"
	}
	c.request = &http.Request{
		Method: http.MethodPost, Host: host, ContentLength: int64(len(c.message)),
		URL: &url.URL{Scheme: scheme, Host: host, Path: grpcMethod},
		Header: http.Header{
			"User-Agent": {"bascule"}, "Content-Type": {"application/grpc"}, "Te": {"trailers"},
			"Grpc-Timeout": {grpcTimeout(to.timeout)},
		},
	}
	return c, nil
}

// grpcTimeout tells a server how long the answer is of use, in the eight
// digits that there are.
func grpcTimeout(timeout time.Duration) string {
	const most = 99999999
	return strconv.FormatInt(min(max(timeout.Milliseconds(), 1), most), 10) + "m"
}

// Check makes one call on a connection of its own.
func (c *grpcChecker) Check(ctx context.Context) (Advice, error) {
	return checkWithin(ctx, c)
}

// checkBy implements timely.
func (c *grpcChecker) checkBy(ctx context.Context, deadline time.Time) (Advice, error) {
	s, err := c.target.open(ctx, deadline, c.client)
	if err != nil {
		return Advice{}, err
	}
	defer s.close()
	if err := c.call(ctx, s); err != nil {
		return Advice{}, s.explain(ctx, err)
	}
	return s.advice(), nil
}

// call makes the call and returns the verdict on the reply.
func (c *grpcChecker) call(ctx context.Context, s *session) error {
	request := c.request.WithContext(ctx)
	request.Body = io.NopCloser(bytes.NewReader(c.message))
	reply, err := s.roundTrip(request) //nolint:bodyclose // the connection is closed instead
	if err != nil {
		return err
	}
	kind := reply.Header.Get("Content-Type")
	switch {
	case reply.StatusCode != http.StatusOK:
		return fmt.Errorf("HTTP %d, wanted a reply of gRPC", reply.StatusCode)
	case kind != "application/grpc" && !strings.HasPrefix(kind, "application/grpc+") && !strings.HasPrefix(kind, "application/grpc;"):
		return fmt.Errorf("HTTP content type %s, wanted application/grpc", printed(kind))
	}
	body, err := io.ReadAll(io.LimitReader(reply.Body, grpcPrefix+maxGRPCMessage+1))
	switch {
	case err != nil:
		return bodyError(err)
	case len(body) > grpcPrefix+maxGRPCMessage:
		return fmt.Errorf("gRPC message over %d KiB", maxGRPCMessage>>10)
	}
	status := reply.Trailer
	if status.Get("Grpc-Status") == "" {
		status = reply.Header // of a reply that has no message
	}
	return c.judge(status, body)
}

// judge returns the verdict on the status of a call and its body.
func (c *grpcChecker) judge(status http.Header, body []byte) error {
	text := status.Get("Grpc-Status")
	if text == "" {
		return errors.New("gRPC reply without a status")
	}
	if text != "0" {
		return c.refusal(text, status.Get("Grpc-Message"))
	}
	message, err := grpcMessage(body)
	if err != nil {
		return err
	}
	health, err := grpcHealth(message)
	if err != nil {
		return err
	}
	if health != grpcServing {
		return fmt.Errorf("gRPC %s, wanted SERVING", grpcHealthName(health))
	}
	return nil
}

// refusal puts the status of a call that has failed into words.
func (c *grpcChecker) refusal(status, message string) error {
	words := "gRPC " + grpcStatusName(status)
	switch {
	case status == grpcNotFound && c.service != "":
		return fmt.Errorf("%s: server knows no service %s", words, printed(c.service))
	case status == grpcUnimplemented:
		return fmt.Errorf("%s: server has no grpc.health.v1.Health", words)
	case message == "":
		return errors.New(words)
	}
	if plain, err := url.PathUnescape(message); err == nil {
		message = plain
	}
	return fmt.Errorf("%s: %s", words, printed(message))
}
