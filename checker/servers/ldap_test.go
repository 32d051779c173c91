//go:build servers

package servers

import (
	"fmt"
	"testing"

	"bascule/checker"
)

// slapdConfig is a directory with one user.
const slapdConfig = `
include /etc/ldap/schema/core.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile @dir@/pid
TLSCertificateFile @certificate@
TLSCertificateKeyFile @key@
database mdb
maxsize 10000000
suffix "dc=example,dc=org"
directory @dir@/data
access to dn.base="cn=secret,dc=example,dc=org" by anonymous auth
access to attrs=userPassword by anonymous auth
access to * by * read
`

// slapdStrict is a directory, of nothing, that wants TLS and a name.
const slapdStrict = `
include /etc/ldap/schema/core.schema
modulepath /usr/lib/ldap
moduleload back_null
TLSCertificateFile @certificate@
TLSCertificateKeyFile @key@
disallow bind_anon
security simple_bind=128
database null
suffix "dc=example,dc=org"
bind on
`

// slapdEntries is what is in it.
const slapdEntries = `dn: dc=example,dc=org
objectClass: dcObject
objectClass: organization
dc: example
o: example

dn: cn=probe,dc=example,dc=org
objectClass: person
cn: probe
sn: probe
userPassword: right

dn: cn=secret,dc=example,dc=org
objectClass: person
cn: secret
sn: secret
`

// TestLDAP holds checks against OpenLDAP.
func TestLDAP(t *testing.T) {
	t.Parallel()
	dir, ldap, ldaps, strict := workspace(t, nobody), newPort(), newPort(), newPort()
	ca := newAuthority(t, dir)
	files := ca.issue(t, dir, "site", site, nextYear())
	prepare(t, nobody, dir, "mkdir", "data")
	config := write(t, dir, "slapd.conf", slapdConfig, "dir", dir, "certificate", files.certificate, "key", files.key)
	entries := write(t, dir, "entries.ldif", slapdEntries)
	prepare(t, nobody, dir, "/usr/sbin/slapadd", "-f", config, "-l", entries)
	slapd := func(config, urls string, ports ...uint16) *server {
		return start(t, nobody, dir, "slapd", "-d", "stats", "-f", config, "-h", urls).listens(ports...)
	}
	s := slapd(config, fmt.Sprintf("ldap://127.0.0.1:%d ldaps://127.0.0.1:%d", ldap, ldaps), ldap, ldaps)
	closed := write(t, dir, "strict.conf", slapdStrict, "certificate", files.certificate, "key", files.key)
	slapd(closed, fmt.Sprintf("ldap://127.0.0.1:%d", strict), strict)

	const user = "cn=probe,dc=example,dc=org"
	login := func(password string) checker.LDAP {
		return checker.LDAP{User: user, Password: checker.NewSecret(password), Base: "dc=example,dc=org"}
	}
	crypt := func(p checker.LDAP, e checker.Encryption) checker.LDAP {
		p.Encryption = e
		return p
	}
	s.quiet(`(?i)connection lost|error|failed`, ldap,
		clause{"anonymous", ldap, checker.LDAP{}, ""},
		clause{"search", ldap, checker.LDAP{Base: user}, ""},
		clause{"root", ldap, login("right"), ""},
		clause{"starttls", ldap, crypt(login("right"), checker.StartTLS), ""},
		clause{"tls", ldaps, crypt(login("right"), checker.TLSFirst), ""},
	)
	run(t,
		clause{"wrong password", ldap, login("wrong"), "LDAP invalid credentials (49) after bind"},
		clause{"no such user", ldap, checker.LDAP{User: "cn=nobody,dc=example,dc=org", Password: checker.NewSecret("right")},
			"LDAP invalid credentials (49) after bind"},
		clause{"no name", ldap, checker.LDAP{User: "probe", Password: checker.NewSecret("right")},
			"LDAP invalid name (34) after bind: invalid DN"},
		clause{"no such entry", ldap, checker.LDAP{Base: "cn=missing,dc=example,dc=org"}, "LDAP no such object (32) after search"},
		clause{"other directory", ldap, checker.LDAP{Base: "dc=example,dc=com"}, "LDAP no such object (32) after search"},
		clause{"hidden entry", ldap, checker.LDAP{Base: "cn=secret,dc=example,dc=org"}, "LDAP insufficient access (50) after search"},
		clause{"no anonymous", strict, checker.LDAP{}, "LDAP inappropriate authentication (48) after bind: anonymous bind disallowed"},
		clause{"TLS wanted", strict, login("right"), "LDAP confidentiality required (13) after bind: confidentiality required"},
		clause{"TLS to clear", ldap, crypt(checker.LDAP{}, checker.TLSFirst), "connection closed within the TLS handshake"},
		clause{"clear to TLS", ldaps, checker.LDAP{}, "connection closed before the LDAP reply to bind"},
	)
	verification(t, ca, ldap, func(o checker.TLSOptions) checker.Probe {
		return checker.LDAP{Encryption: checker.StartTLS, TLS: o}
	})
	verification(t, ca, ldaps, func(o checker.TLSOptions) checker.Probe {
		return checker.LDAP{Encryption: checker.TLSFirst, TLS: o}
	})
	outage(t, s, ldap, checker.LDAP{}, " waiting for the LDAP reply to bind")
}
