package checker

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// authority signs certificates, and is its own root unless it is issued by
// another.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// newKey returns a key.
func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// newAuthority returns a root.
func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{key: newKey(t)}
	a.certificate = a.sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "Test Authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotAfter: time.Now().AddDate(10, 0, 0),
	}, &a.key.PublicKey)
	return a
}

// sign completes a template and signs it.
func (a *authority) sign(t testing.TB, template *x509.Certificate, public *ecdsa.PublicKey) *x509.Certificate {
	t.Helper()
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	if template.NotBefore.IsZero() {
		template.NotBefore = time.Now().AddDate(-1, 0, 0)
	}
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().AddDate(1, 0, 0)
	}
	parent := a.certificate
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, a.key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

// issue returns a certificate for what the template says.
func (a *authority) issue(t testing.TB, template x509.Certificate) tls.Certificate {
	t.Helper()
	key := newKey(t)
	certificate := a.sign(t, &template, &key.PublicKey)
	return tls.Certificate{Certificate: [][]byte{certificate.Raw}, PrivateKey: key, Leaf: certificate}
}

// site returns a certificate for host names and the loopback address.
func (a *authority) site(t testing.TB, names ...string) tls.Certificate {
	t.Helper()
	return a.issue(t, x509.Certificate{DNSNames: names, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})
}

// file writes the certificate of the authority to a file of the test.
func (a *authority) file(t testing.TB) string {
	t.Helper()
	return writeFile(t, "ca.pem", certificatePEM(a.certificate.Raw))
}

// pool returns the authority as a pool.
func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

// certificatePEM is a certificate as PEM.
func certificatePEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// keyPEM is the key of a certificate as PEM.
func keyPEM(t testing.TB, pair tls.Certificate) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// writeFile writes a file below a directory of its own.
func writeFile(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// overTLS is a handler of connections that speaks TLS first. A handshake that
// fails ends the connection.
func overTLS(config *tls.Config, handle func(net.Conn)) func(net.Conn) {
	return func(raw net.Conn) {
		_ = raw.SetDeadline(time.Now().Add(patience))
		conn := tls.Server(raw, config)
		if conn.Handshake() == nil {
			handle(conn)
			_ = conn.CloseWrite()
		}
	}
}

// withCertificate is the configuration of a server.
func withCertificate(certificate tls.Certificate) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{certificate}}
}

// untilEnd reads until the client has finished.
func untilEnd(conn net.Conn) {
	for buffer := make([]byte, 512); ; {
		if _, err := conn.Read(buffer); err != nil {
			return
		}
	}
}

// tlsSpec is a TLS check of a target.
func tlsSpec(target netip.AddrPort, probe TLS) Spec {
	spec := tcpSpec(target, patience)
	spec.Probe = probe
	return spec
}
