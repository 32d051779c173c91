package checker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"sync/atomic"
	"time"
)

// tlsClient is the TLS of one checker. What does not change from probe to
// probe is prepared once.
//
// No session is resumed: a server that resumes one does not show its
// certificate, and the probe is to find out what a new client gets.
type tlsClient struct {
	options  TLSOptions
	name     string // to ask for and to expect: a host name or an address
	alpn     []string
	files    *tlsFiles
	late     bool        // verify after the handshake, which a server gets to its end
	hybrid   atomic.Bool // offer key exchanges against quantum computers too
	prepared atomic.Pointer[tlsPrepared]
}

// classicKeyExchanges are those of TLSOptions at first. The hybrid ones take a
// third of the time of a handshake here, and as much on the server, for
// secrets that a probe does not have. They are offered to a server that
// insists.
var classicKeyExchanges = []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521}

// tlsPrepared is a configuration and the contents that it was made from.
type tlsPrepared struct {
	contents *tlsContents
	hybrid   bool
	config   *tls.Config
}

// fits is true if nothing has changed that the configuration was made from.
func (p *tlsPrepared) fits(contents *tlsContents, hybrid bool) bool {
	return p != nil && p.hybrid == hybrid && p.contents.roots == contents.roots && p.contents.certificate == contents.certificate
}

// client returns the TLS of a checker. The name is what to ask for and to
// expect if the options name no server. The error is a file that cannot be
// used.
func (o TLSOptions) client(name string, alpn ...string) (*tlsClient, error) {
	files, err := openTLSFiles(tlsPaths{o.CA, o.Certificate, o.Key})
	if err != nil {
		return nil, err
	}
	if o.ServerName != "" {
		name = o.ServerName
	}
	return &tlsClient{options: o, name: name, alpn: alpn, files: files}, nil
}

// config returns the configuration for the files as they are.
func (c *tlsClient) config(now time.Time) (*tls.Config, error) {
	contents := c.files.contents(now)
	if contents.err != nil {
		return nil, &LocalError{Reason: contents.err.Error()}
	}
	hybrid := c.hybrid.Load()
	if old := c.prepared.Load(); old.fits(contents, hybrid) {
		return old.config, nil
	}
	config := &tls.Config{
		ServerName:         c.name,
		RootCAs:            contents.roots,
		NextProtos:         c.alpn,
		MinVersion:         tlsVersions[c.options.MinVersion],
		InsecureSkipVerify: c.late || !c.options.verifies(),
		GetClientCertificate: func(request *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			session := request.Context().Value(tlsSessionKey{}).(*tlsSession)
			session.asked = true
			if contents.certificate == nil {
				return &tls.Certificate{}, nil
			}
			session.showed = true
			return contents.certificate, nil
		},
	}
	if !hybrid {
		config.CurvePreferences = classicKeyExchanges
	}
	c.prepared.Store(&tlsPrepared{contents, hybrid, config})
	return config, nil
}

// tlsSession is the TLS of one probe.
type tlsSession struct {
	*tls.Conn
	client *tlsClient
	head   tap
	asked  bool                  // the server has asked for a client certificate
	showed bool                  // and got one
	chains [][]*x509.Certificate // that were verified late
}

// tlsSessionKey is the key of the session in the context of its handshake.
type tlsSessionKey struct{}

// tap keeps the beginning of what comes in on a connection, to say what it
// was if it was not what it should be. One goroutine may read while another
// asks.
type tap struct {
	net.Conn
	first [maxQuoted]byte
	n     atomic.Int32 // what of first is filled, and does not change any more
	fault atomic.Pointer[error]
}

// Read reads, and keeps the beginning and the error.
func (t *tap) Read(b []byte) (int, error) {
	n, err := t.Conn.Read(b)
	if kept := int(t.n.Load()); kept < len(t.first) && n > 0 {
		kept += copy(t.first[kept:], b[:n])
		t.n.Store(int32(kept))
	}
	if err != nil {
		t.fault.Store(&err)
	}
	return n, err
}

// ended is why no more could be read; nil if nothing is known of an end.
func (t *tap) ended() error {
	if fault := t.fault.Load(); fault != nil {
		return *fault
	}
	return nil
}

// text is the beginning of what has come in.
func (t *tap) text() string { return string(t.first[:t.n.Load()]) }

// handshake speaks TLS on a connection, whose deadline holds, and leaves it
// open in any case. The error is in words, but for a fault of the network. If
// the certificate is verified late and is not good, there is a session too.
func (c *tlsClient) handshake(conn net.Conn) (*tlsSession, error) {
	config, err := c.config(time.Now())
	if err != nil {
		return nil, err
	}
	s := &tlsSession{client: c, head: tap{Conn: conn}}
	s.Conn = tls.Client(&s.head, config)
	// This context never ends, so nothing has to watch it.
	ctx := context.WithValue(context.Background(), tlsSessionKey{}, s)
	if err := s.HandshakeContext(ctx); err != nil {
		if alert, _ := alertText(err); alert == "handshake failure" || alert == "insufficient security" {
			c.hybrid.Store(true) // from the next handshake on
		}
		return nil, s.explainHandshake(err)
	}
	if c.late && c.options.verifies() {
		return s, s.verify(config.RootCAs)
	}
	return s, nil
}

// verify does what a handshake does unless it is told not to.
func (s *tlsSession) verify(roots *x509.CertPool) error {
	certificates := s.ConnectionState().PeerCertificates
	options := x509.VerifyOptions{Roots: roots, DNSName: s.client.name, Intermediates: x509.NewCertPool()}
	for _, certificate := range certificates[1:] {
		options.Intermediates.AddCert(certificate)
	}
	var err error
	if s.chains, err = certificates[0].Verify(options); err != nil {
		return s.explainHandshake(&tls.CertificateVerificationError{UnverifiedCertificates: certificates, Err: err})
	}
	return nil
}

// insistent makes a probe, and once more if its handshake has found out that
// the server may want other key exchanges: that the first one was refused is
// no verdict. The client is nil of a probe in clear.
func insistent[T any](client *tlsClient, probe func() (T, error)) (T, error) {
	hybrid := client != nil && client.hybrid.Load()
	result, err := probe()
	if err != nil && client != nil && client.hybrid.Load() != hybrid {
		return probe()
	}
	return result, err
}
