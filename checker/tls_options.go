package checker

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"time"
)

// TLSOptions is how a probe speaks TLS. Every field may be empty.
//
// Nothing is verified unless it is asked for, as with keepalived's SSL_GET: a
// real server is probed by its address, for which hardly any has a
// certificate. Whoever names an authority or the server has said what to
// expect, and gets the verification without asking for it once more.
type TLSOptions struct {
	ServerName    string        // the name to ask for (SNI) and to expect in the certificate
	CA            string        // file of the authorities to trust, as PEM; empty: those of the system
	Certificate   string        // file of the client certificate and its chain, as PEM
	Key           string        // file of its key; empty: it is in the same file
	Verify        Verify        // whether the certificate of the server counts
	ExpiryWarning time.Duration // warn if a certificate is valid for less than this; 0: never
	MinVersion    string        // "1.0" to "1.3", the oldest version to speak; empty: "1.2"
}

// Verify is whether the certificate of a server must be good. The zero value
// is VerifyIfNamed.
type Verify uint8

// Whether a certificate is verified.
const (
	VerifyIfNamed Verify = iota // if ServerName or CA is given
	VerifyAlways
	VerifyNever
)

// tlsVersions are the versions of TLS by the names that administrators use.
var tlsVersions = map[string]uint16{
	"":    tls.VersionTLS12,
	"1.0": tls.VersionTLS10,
	"1.1": tls.VersionTLS11,
	"1.2": tls.VersionTLS12,
	"1.3": tls.VersionTLS13,
}

// verifies is true if the certificate of the server counts.
func (o TLSOptions) verifies() bool {
	return o.Verify == VerifyAlways || o.Verify == VerifyIfNamed && (o.ServerName != "" || o.CA != "")
}

// Validate says what is wrong with the options, beginning with the name of
// the parameter. It does not open the files, which only the director has:
// New does.
func (o TLSOptions) Validate() error {
	if o.ServerName != "" && !isServerName(o.ServerName) {
		return fmt.Errorf("server_name %q is no host name: such as \"www.example.org\", in ASCII and without a port", o.ServerName)
	}
	for _, file := range []struct{ name, path string }{{"ca", o.CA}, {"certificate", o.Certificate}, {"key", o.Key}} {
		if file.path != "" && (!filepath.IsAbs(file.path) || strings.ContainsRune(file.path, 0)) {
			return fmt.Errorf("%s %q is no absolute path of a file, such as \"/etc/ssl/certs/x.pem\"", file.name, file.path)
		}
	}
	switch {
	case o.Key != "" && o.Certificate == "":
		return errors.New("key is given without certificate")
	case o.Verify > VerifyNever:
		return fmt.Errorf("verify %d is none of the constants", o.Verify)
	case o.Verify == VerifyNever && o.CA != "":
		return errors.New("ca is given, but verify is off: nothing would look at it")
	case o.ExpiryWarning < 0:
		return fmt.Errorf("expiry_warning %s is negative", o.ExpiryWarning)
	}
	if _, known := tlsVersions[o.MinVersion]; !known {
		return fmt.Errorf("min_version %q is none of \"1.0\", \"1.1\", \"1.2\" and \"1.3\"", o.MinVersion)
	}
	return nil
}

// isServerName is true of an address or of a name of letters, digits,
// hyphens and dots.
func isServerName(name string) bool {
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789-_."
	return len(name) <= 253 && !strings.HasPrefix(name, ".") && strings.Trim(strings.ToLower(name), letters) == ""
}
