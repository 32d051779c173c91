package checker

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"strings"
	"sync"
)

// wireForm is a request in HTTP/1.1.
func wireForm(request *http.Request) ([]byte, error) {
	var wire bytes.Buffer
	err := request.Write(&wire)
	return wire.Bytes(), err
}

// replyReader reads a reply, bounded as far as its header goes.
type replyReader struct {
	limited io.LimitedReader
	buffer  *bufio.Reader
}

// replyReaders are readers for replies.
var replyReaders = sync.Pool{New: func() any { return &replyReader{buffer: bufio.NewReader(nil)} }}

// exchange sends the request in HTTP/1.1 and returns the verdict on the reply.
func (c *httpChecker) exchange(conn net.Conn) error {
	if _, err := conn.Write(c.wire); err != nil {
		return err
	}
	reader := replyReaders.Get().(*replyReader)
	reader.limited = io.LimitedReader{R: conn, N: maxHeader}
	reader.buffer.Reset(&reader.limited)
	defer func() {
		reader.limited.R = nil // the connection must not live on in the pool
		replyReaders.Put(reader)
	}()
	reply, err := reader.reply(c.request) //nolint:bodyclose // the connection is closed instead
	if err != nil {
		return err
	}
	reader.limited.N = math.MaxInt64 // the body has its own bound
	return c.judge(reply.StatusCode, reply.Body)
}

// reply reads the header of a reply, after those of interim replies. The body
// is yet to be read, and is not closed: that would wait for the rest of it.
func (r *replyReader) reply(request *http.Request) (*http.Response, error) {
	if err := expectHTTP(r.buffer); err != nil {
		return nil, replyError(err, false)
	}
	for range maxInterim {
		reply, err := http.ReadResponse(r.buffer, request) //nolint:bodyclose // the connection is closed instead
		if err != nil {
			return nil, replyError(err, r.limited.N == 0)
		}
		if reply.StatusCode >= 200 || reply.StatusCode == http.StatusSwitchingProtocols {
			return reply, nil
		}
	}
	return nil, fmt.Errorf("more than %d interim HTTP replies", maxInterim)
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
	return fmt.Errorf("not an HTTP reply: %s", printed(err.Error()))
}
