package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"syscall"
)

// Client talks to the daemon of one runtime directory.
type Client struct {
	socket string
	http   http.Client
}

// NewClient returns a client for the daemon with the given runtime directory.
func NewClient(runtimeDir string) *Client {
	c := &Client{socket: SocketPath(runtimeDir)}
	c.http.Transport = &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", c.socket)
		},
	}
	return c
}

// Close ends the client's connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Status asks for the present state.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	err := c.do(ctx, http.MethodGet, statusPath, nil, &s)
	return s, err
}

// Checks asks for the checks that match a request.
func (c *Client) Checks(ctx context.Context, request ChecksRequest) ([]Check, error) {
	checks := []Check{}
	err := c.do(ctx, http.MethodGet, checksPath+"?"+request.query().Encode(), nil, &checks)
	return checks, err
}

// Reload asks the daemon to read its configuration again. The error holds
// what is wrong with it; the daemon then goes on with the old one.
func (c *Client) Reload(ctx context.Context) (ReloadResult, error) {
	var r ReloadResult
	err := c.do(ctx, http.MethodPost, reloadPath, nil, &r)
	return r, err
}

// Override has a decision about a real server carried out. The error says what
// there is to be named.
func (c *Client) Override(ctx context.Context, request OverrideRequest) error {
	return c.do(ctx, http.MethodPost, overridePath, request, &struct{}{})
}

// Zero has the counters of virtual servers set to zero. The error says what
// there is to be named.
func (c *Client) Zero(ctx context.Context, request ZeroRequest) error {
	return c.do(ctx, http.MethodPost, zeroPath, request, &struct{}{})
}

// do makes one request, with a body unless that is nil, and decodes its answer
// into result.
func (c *Client) do(ctx context.Context, method, path string, body, result any) error {
	var text bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&text).Encode(body); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://bascule"+path, &text)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.explain(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return refusal(resp)
	}
	switch err := json.NewDecoder(resp.Body).Decode(result); {
	case errors.Is(err, context.DeadlineExceeded):
		return c.explain(err)
	case err != nil:
		return fmt.Errorf("%s: answer not understood: %v", c.socket, err)
	}
	return nil
}

// refusal returns the error that the daemon answered with.
func refusal(resp *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	var f failure
	if err := json.Unmarshal(body, &f); err == nil && f.Error != "" {
		return errors.New(f.Error)
	}
	return fmt.Errorf("the daemon answered %s", resp.Status)
}

// explain says what an administrator can do about a connection that failed.
func (c *Client) explain(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%s: no bascule is running with this runtime directory", c.socket)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s: permission denied: only root may talk to the daemon", c.socket)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: the daemon did not answer in time, or not in full: it or this machine is busy", c.socket)
	}
	return fmt.Errorf("%s: %v", c.socket, err)
}
