package checker

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	base16 "encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
)

const (
	// maxBody bounds what is read of a body. A page that says whether a server
	// works is smaller; a download is not what a probe should wait for.
	maxBody = 1 << 20
	// maxKeptBody is the largest buffer that is kept for the next probe.
	maxKeptBody = 64 << 10
)

// Body is what the body of a reply must be like. All that is given counts;
// the zero value takes any body and does not read it.
type Body struct {
	Contains string // a text that is somewhere in it
	Matches  string // a regular expression (RE2) that matches some of it
	Excludes string // a regular expression (RE2) that matches none of it
	SHA256   string // the digest of all of it, in hexadecimal
	MD5      string // the same as keepalived's "digest", to take over what is configured there
}

// Validate says what is wrong with it, beginning with the name of the
// parameter.
func (b Body) Validate() error {
	_, err := b.matcher()
	return err
}

// bodyMatcher is a Body prepared for many replies.
type bodyMatcher struct {
	contains          []byte
	matches, excludes *regexp.Regexp
	sha256, md5       []byte
}

// matcher prepares a Body; nil if any body will do.
func (b Body) matcher() (*bodyMatcher, error) {
	if b == (Body{}) {
		return nil, nil
	}
	m := &bodyMatcher{contains: []byte(b.Contains)}
	var err error
	if m.matches, err = compile("matches", b.Matches); err != nil {
		return nil, err
	}
	if m.excludes, err = compile("excludes", b.Excludes); err != nil {
		return nil, err
	}
	if m.sha256, err = digest("sha256", b.SHA256, sha256.Size); err != nil {
		return nil, err
	}
	if m.md5, err = digest("md5", b.MD5, md5.Size); err != nil {
		return nil, err
	}
	return m, nil
}

// compile reads a regular expression; nil if there is none.
func compile(name, text string) (*regexp.Regexp, error) {
	if text == "" {
		return nil, nil
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, fmt.Errorf("%s %q is no regular expression in RE2's syntax: %s", name, text,
			strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	return re, nil
}

// digest reads a digest of a length in bytes; nil if there is none.
func digest(name, text string, length int) ([]byte, error) {
	if text == "" {
		return nil, nil
	}
	sum, err := base16.DecodeString(text)
	if err != nil || len(sum) != length {
		return nil, fmt.Errorf("%s %q is no digest: %d hexadecimal digits", name, text, 2*length)
	}
	return sum, nil
}

// bodies are buffers for bodies.
var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// judge reads a body and says what is wrong with it.
func (m *bodyMatcher) judge(body io.Reader) error {
	buffer := bodies.Get().(*bytes.Buffer)
	defer func() {
		if buffer.Cap() <= maxKeptBody {
			buffer.Reset()
			bodies.Put(buffer)
		}
	}()
	if _, err := buffer.ReadFrom(io.LimitReader(body, maxBody+1)); err != nil {
		return bodyError(err)
	}
	if buffer.Len() > maxBody {
		return fmt.Errorf("HTTP body over %d MiB", maxBody>>20)
	}
	return m.match(buffer.Bytes())
}

// bodyError puts the reason why a body could not be read into words.
func bodyError(err error) error {
	switch {
	case ofNetwork(err):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("connection closed before the end of the HTTP body")
	}
	return fmt.Errorf("no HTTP body: %w", err) // the alert of TLS is looked for in it
}

// match says what is wrong with a whole body.
func (m *bodyMatcher) match(body []byte) error {
	if !bytes.Contains(body, m.contains) {
		return fmt.Errorf("HTTP body does not contain %s", printed(string(m.contains)))
	}
	if m.matches != nil && !m.matches.Match(body) {
		return fmt.Errorf("HTTP body does not match %s", printed(m.matches.String()))
	}
	if m.excludes != nil && m.excludes.Match(body) {
		return fmt.Errorf("HTTP body matches %s, wanted no match", printed(m.excludes.String()))
	}
	if m.sha256 != nil {
		if sum := sha256.Sum256(body); !bytes.Equal(sum[:], m.sha256) {
			return digestError("SHA-256", sum[:], m.sha256)
		}
	}
	if m.md5 != nil {
		if sum := md5.Sum(body); !bytes.Equal(sum[:], m.md5) {
			return digestError("MD5", sum[:], m.md5)
		}
	}
	return nil
}

// digestError names two digests by their beginnings.
func digestError(name string, got, wanted []byte) error {
	const shown = 6 // bytes
	return fmt.Errorf("HTTP body has %s %x…, wanted %x…", name, got[:shown], wanted[:shown])
}
