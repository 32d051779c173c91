package checker

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
)

// maxIterations bounds the work that a server can ask for: a tenth of a second
// or so.
const maxIterations = 200_000

// scram is an exchange by SCRAM-SHA-256 (RFC 5802, RFC 7677) without channel
// binding.
type scram struct {
	name      string // empty for PostgreSQL, which knows it from the start-up message
	password  Secret
	cache     *saltedCache
	nonce     string // of this side
	auth      string // the messages that are signed
	salted    []byte
	continued bool
	verified  bool // the server knows the password too
}

// saltedCache keeps the result of the slow part of the exchange from one probe
// to the next: it depends on the user alone.
type saltedCache struct {
	latest atomic.Pointer[saltedPassword]
}

// saltedPassword is the result for a salt and a number of iterations.
type saltedPassword struct {
	salt       string
	iterations int
	key        []byte
}

// newSCRAM begins an exchange.
func newSCRAM(password Secret, cache *saltedCache) *scram {
	return &scram{password: password, cache: cache, nonce: rand.Text()}
}

// bare is the first message without its header.
func (s *scram) bare() string { return "n=" + s.name + ",r=" + s.nonce }

// first is the first message.
func (s *scram) first() string { return "n,," + s.bare() }

// errSCRAM is a message that is not in the form of RFC 5802.
var errSCRAM = errors.New("SCRAM message of the server is damaged")

// proof answers the server's first message.
func (s *scram) proof(challenge string) (string, error) {
	fields := strings.Split(challenge, ",")
	if s.continued || len(fields) < 3 || !strings.HasPrefix(fields[0], "r="+s.nonce) ||
		!strings.HasPrefix(fields[1], "s=") || !strings.HasPrefix(fields[2], "i=") {
		return "", errSCRAM
	}
	salt, err := base64.StdEncoding.DecodeString(fields[1][2:])
	if err != nil {
		return "", errSCRAM
	}
	iterations, err := strconv.Atoi(fields[2][2:])
	if err != nil || iterations < 1 {
		return "", errSCRAM
	}
	if iterations > maxIterations {
		return "", fmt.Errorf("SCRAM of %d iterations: at most %d are worth it for a check", iterations, maxIterations)
	}
	if s.salted, err = s.cache.key(s.password, string(salt), iterations); err != nil {
		return "", err
	}
	s.continued = true
	final := "c=biws," + fields[0] // base64 of "n,,"
	s.auth = s.bare() + "," + challenge + "," + final
	clientKey := sign(s.salted, "Client Key")
	stored := sha256.Sum256(clientKey)
	proof := xor(clientKey, sign(stored[:], s.auth))
	return final + ",p=" + base64.StdEncoding.EncodeToString(proof), nil
}

// verify reads the server's last message.
func (s *scram) verify(final string) error {
	value, ok := strings.CutPrefix(final, "v=")
	signature, err := base64.StdEncoding.DecodeString(value)
	switch {
	case !ok || err != nil || !s.continued:
		return errSCRAM
	case !hmac.Equal(signature, sign(sign(s.salted, "Server Key"), s.auth)):
		return errors.New("SCRAM: the server does not know the password")
	}
	s.verified = true
	return nil
}

// key returns the salted password.
func (c *saltedCache) key(password Secret, salt string, iterations int) ([]byte, error) {
	if known := c.latest.Load(); known != nil && known.salt == salt && known.iterations == iterations {
		return known.key, nil
	}
	key, err := pbkdf2.Key(sha256.New, password.text(), []byte(salt), iterations, sha256.Size)
	if err == nil {
		c.latest.Store(&saltedPassword{salt, iterations, key})
	}
	return key, err
}

// sign is HMAC-SHA-256.
func sign(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}
