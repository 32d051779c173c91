package checker

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"
)

// probeSpec is a check of a kind.
func probeSpec(probe Probe, target netip.AddrPort, timeout time.Duration) Spec {
	spec := tcpSpec(target, timeout)
	spec.Probe = probe
	return spec
}

// testCertificate is a certificate that nobody has signed.
var testCertificate = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
})

// play is a server that follows a script: "> text" is sent, "< text" must come,
// "tls" goes on under TLS, and "silence" waits for the client to give up. Behind
// the last line the server closes.
func play(t *testing.T, script ...string) func(net.Conn) {
	t.Helper()
	return func(conn net.Conn) {
		_ = conn.SetDeadline(time.Now().Add(patience))
		for i, line := range script {
			var err error
			switch verb, text, _ := strings.Cut(line, " "); verb {
			case ">":
				_, err = io.WriteString(conn, text)
			case "<":
				err = mustCome(conn, text)
			case "tls":
				encrypted := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{testCertificate()}})
				err = encrypted.Handshake()
				conn = encrypted
			case "silence":
				_, _ = io.Copy(io.Discard, conn)
			default:
				err = fmt.Errorf("no line of a script: %q", line)
			}
			if err != nil {
				t.Errorf("server, line %d: %v", i+1, err)
				return
			}
		}
		if encrypted, ok := conn.(*tls.Conn); ok {
			_ = encrypted.Close()
		}
	}
}

// mustCome reads exactly a text.
func mustCome(conn net.Conn, text string) error {
	got := make([]byte, len(text))
	n, err := io.ReadFull(conn, got)
	if string(got[:n]) != text {
		return fmt.Errorf("%q came, wanted %q", got[:n], text)
	}
	return err
}

// silence reads and never answers.
func silence(conn net.Conn) {
	_ = conn.SetDeadline(time.Now().Add(patience))
	_, _ = io.Copy(io.Discard, conn)
}

// wantReadable demands that a reason can be printed, and is not long.
func wantReadable(t *testing.T, err error) {
	t.Helper()
	text := err.Error()
	if len(text) > 300 || !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' }) {
		t.Errorf("reason %q is long or not printable", text)
	}
}
