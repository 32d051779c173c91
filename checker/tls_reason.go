package checker

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// clockFloor is a time that has passed. A clock before it is wrong, as that of
// a machine without a battery is until it hears from a time server.
var clockFloor = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// ofNetwork is true of an error that is the network's or the deadline's.
func ofNetwork(err error) bool {
	var errno syscall.Errno
	return errors.As(err, &errno) || errors.Is(err, os.ErrDeadlineExceeded)
}

// explainHandshake puts the reason why a handshake failed into words.
func (s *tlsSession) explainHandshake(err error) error {
	var (
		untrusted *tls.CertificateVerificationError
		record    tls.RecordHeaderError
	)
	switch {
	case ofNetwork(err):
		return err
	case errors.As(err, &untrusted):
		return explainCertificate(untrusted, s.client.name, time.Now())
	case errors.As(err, &record) && !s.head.isTLS():
		return fmt.Errorf("not TLS: %s", printed(s.head.text()))
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("connection closed within the TLS handshake")
	}
	if words := s.explainAlert(err); words != nil {
		return words
	}
	text := strings.TrimPrefix(err.Error(), "tls: ")
	return fmt.Errorf("TLS handshake: %s", shown(text, 2*maxQuoted))
}

// isTLS is true if what has come in looks like a record of TLS: an alert or a
// part of a handshake.
func (t *tap) isTLS() bool {
	const alert, handshake, major = 21, 22, 3
	return t.n.Load() >= 2 && (t.first[0] == alert || t.first[0] == handshake) && t.first[1] == major
}

// alertsOfCertificate are the alerts of a server that did not get the client
// certificate that it wants. What it says depends on its library.
var alertsOfCertificate = []string{
	"certificate required", "bad certificate", "handshake failure", "unknown certificate", "access denied",
	"unsupported certificate", "unknown certificate authority", "expired certificate", "revoked certificate",
}

// explainAlert puts the alert of a server into words; nil if the error is
// something else. With TLS 1.3 a refused client certificate is known only
// after the handshake.
func (s *tlsSession) explainAlert(err error) error {
	alert, isAlert := alertText(err)
	if !isAlert {
		return nil
	}
	aboutCertificate := false
	for _, text := range alertsOfCertificate {
		aboutCertificate = aboutCertificate || alert == text
	}
	switch {
	case aboutCertificate && s.asked && !s.showed:
		return errors.New("TLS handshake: server requires a client certificate")
	case aboutCertificate && s.showed:
		return fmt.Errorf("TLS handshake: server refuses the client certificate: %s", alert)
	case alert == "unrecognized name":
		return fmt.Errorf("TLS handshake: server does not know the name %q", s.client.name)
	case alert == "no application protocol":
		return fmt.Errorf("TLS handshake: server speaks none of %q", s.client.alpn)
	}
	return fmt.Errorf("TLS handshake: server refuses: %s", alert)
}

// alertText returns the words of an alert that the server has sent. The
// library's type of it is not exported, its operation is.
func alertText(err error) (text string, isAlert bool) {
	var failed *net.OpError
	if !errors.As(err, &failed) || failed.Op != "remote error" {
		return "", false
	}
	return strings.TrimPrefix(failed.Err.Error(), "tls: "), true
}

// isAlert is true of an alert that the server has sent.
func isAlert(err error) bool {
	_, is := alertText(err)
	return is
}

// explainCertificate says in words why the certificate of a server is not the
// one to expect.
func explainCertificate(err *tls.CertificateVerificationError, wanted string, now time.Time) error {
	var (
		host    x509.HostnameError
		unknown x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
	)
	switch {
	case errors.As(err, &host):
		return fmt.Errorf("certificate is for %s, wanted %s", certificateNames(host.Certificate), wanted)
	case errors.As(err, &unknown):
		return errors.New("certificate signed by unknown authority")
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return explainValidity(invalid.Cert, now)
	}
	text := strings.TrimPrefix(err.Err.Error(), "x509: ")
	return fmt.Errorf("certificate not valid: %s", printed(text))
}

// explainValidity says since or until when a certificate is not valid.
func explainValidity(certificate *x509.Certificate, now time.Time) error {
	switch {
	case !now.Before(certificate.NotBefore):
		return fmt.Errorf("certificate expired %s", day(certificate.NotAfter))
	case now.Before(clockFloor):
		return &LocalError{Reason: fmt.Sprintf("the clock of this director says %s", day(now))}
	}
	return fmt.Errorf("certificate not valid before %s", day(certificate.NotBefore))
}

// day is the date of a time, in UTC as certificates have it.
func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// certificateNames says for whom a certificate is: its first two names.
func certificateNames(certificate *x509.Certificate) string {
	const most = 2
	var names []string
	for _, name := range certificate.DNSNames {
		names = append(names, strings.Trim(printed(name), `"`))
	}
	for _, address := range certificate.IPAddresses {
		names = append(names, address.String())
	}
	switch {
	case len(names) == 0 && certificate.Subject.CommonName != "":
		return "no host, only for the common name " + printed(certificate.Subject.CommonName)
	case len(names) == 0:
		return "no host"
	case len(names) > most:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

// warning says that a certificate of the server, or the one that it asked the
// director for, ends soon, or has ended where that does not count; "" if none
// does.
func (s *tlsSession) warning(now time.Time) string {
	margin := s.client.options.ExpiryWarning
	if margin == 0 {
		return ""
	}
	state := s.ConnectionState()
	if s.chains != nil {
		state.VerifiedChains = s.chains
	}
	if text := endWarning(firstEnd(&state), now, margin); text != "" {
		return "certificate " + text
	}
	if own := s.client.files.known.Load().certificate; s.showed && own != nil && own.Leaf != nil {
		if text := endWarning(own.Leaf.NotAfter, now, margin); text != "" {
			return "client certificate " + text
		}
	}
	return ""
}

// endWarning says that a certificate ends within a margin; "" if it does not.
// The days that are left are not in it, so that it stays the same from day to
// day.
func endWarning(end, now time.Time, margin time.Duration) string {
	switch left := end.Sub(now); {
	case end.IsZero() || left >= margin:
		return ""
	case left < 0:
		return "expired " + day(end)
	}
	return "expires " + day(end)
}

// firstEnd is when the first certificate of the chain ends that is valid for
// longest. If none was verified, only that of the server counts: what else it
// sent may be of no use to anybody.
func firstEnd(state *tls.ConnectionState) time.Time {
	var longest time.Time
	for _, chain := range state.VerifiedChains {
		first := chain[0].NotAfter
		for _, certificate := range chain[1:] {
			if certificate.NotAfter.Before(first) {
				first = certificate.NotAfter
			}
		}
		if first.After(longest) {
			longest = first
		}
	}
	if longest.IsZero() && len(state.PeerCertificates) > 0 {
		return state.PeerCertificates[0].NotAfter
	}
	return longest
}
