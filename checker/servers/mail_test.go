//go:build servers

package servers

import (
	"testing"

	"bascule/checker"
)

// eximConfig is a mail server that takes no mail, logs what it can, and refuses
// a host that says the wrong name, or comes from 127.0.0.2.
const eximConfig = `
primary_hostname = mx.example.org
spool_directory = @dir@/spool
log_file_path = @dir@/%slog
log_selector = +all
pid_file_path = @dir@/pid
keep_environment =
daemon_smtp_ports = @smtp@ : @smtps@
tls_on_connect_ports = @smtps@
local_interfaces = 127.0.0.1
tls_advertise_hosts = *
tls_certificate = @certificate@
tls_privatekey = @key@
host_lookup =
rfc1413_query_timeout = 0s
smtp_accept_max = 5
helo_verify_hosts =
helo_allow_chars = _
acl_smtp_helo = helo
acl_smtp_connect = connect
begin acl
connect:
	deny message = go away
		hosts = 127.0.0.2
	accept
helo:
	deny message = not you
		condition = ${if eq{$sender_helo_name}{bad.example.org}}
	accept
`

// TestSMTP holds checks against Exim.
func TestSMTP(t *testing.T) {
	t.Parallel()
	exim := accountOf(t, "Debian-exim") // who alone may start a daemon
	dir, smtp, smtps := workspace(t, exim), newPort(), newPort()
	ca := newAuthority(t, dir)
	files := ca.issue(t, dir, "site", site, nextYear())
	config := write(t, dir, "exim.conf", eximConfig, "dir", dir, "smtp", smtp, "smtps", smtps,
		"certificate", files.certificate, "key", files.key)
	s := start(t, exim, dir, "exim4", "-C", config, "-bdf").listens(smtp, smtps)
	s.log = dir + "/mainlog"
	s.quiet(`(?i)unexpected|connection lost|lost connection|error|synchronization|dropped|reset`, smtp,
		clause{"smtp", smtp, checker.SMTP{}, ""},
		clause{"starttls", smtp, checker.SMTP{Encryption: checker.StartTLS}, ""},
		clause{"tls", smtps, checker.SMTP{Encryption: checker.TLSFirst, Hello: "director.example.org"}, ""},
	)
	run(t,
		clause{"refused host", smtp, from{checker.SMTP{}, visitor}, "SMTP 550 go away, wanted 220"},
		clause{"refused name", smtp, checker.SMTP{Hello: "bad.example.org"}, "~SMTP 550 not you, wanted 250.*"},
		clause{"TLS to clear", smtp, checker.SMTP{Encryption: checker.TLSFirst}, `~not TLS: "220 mx.example.org ESMTP Exim .*"`},
		clause{"not POP3", smtp, checker.POP3{}, `~not POP3: "220 mx.example.org ESMTP Exim .*"`},
	)
	verification(t, ca, smtp, func(o checker.TLSOptions) checker.Probe {
		return checker.SMTP{Encryption: checker.StartTLS, TLS: o}
	})
	outage(t, s, smtp, checker.SMTP{}, " waiting for the SMTP greeting")
}

// dovecotConfig is that of an installation without root.
const dovecotConfig = `
base_dir = @dir@/run
state_dir = @dir@/run
log_path = /dev/stderr
info_log_path = /dev/stderr
default_internal_user = nobody
default_internal_group = nogroup
default_login_user = nobody
protocols = imap pop3
listen = 127.0.0.1
ssl = yes
ssl_cert = <@certificate@
ssl_key = <@key@
disable_plaintext_auth = yes
login_trusted_networks =
auth_verbose = yes
auth_failure_delay = 0
mail_location = maildir:@dir@/mail/%u
first_valid_uid = 1
passdb {
	driver = static
	args = password=right
}
userdb {
	driver = static
	args = uid=nobody gid=nogroup home=@dir@/mail/%u
}
service anvil {
	chroot =
}
service imap-login {
	chroot =
	inet_listener imap {
		port = @imap@
	}
	inet_listener imaps {
		port = @imaps@
		ssl = yes
	}
}
service pop3-login {
	chroot =
	inet_listener pop3 {
		port = @pop3@
	}
	inet_listener pop3s {
		port = @pop3s@
		ssl = yes
	}
}
service stats {
	chroot =
}
`

// dovecot is a server of mailboxes with its ports.
type dovecot struct {
	*server
	ca                       *authority
	imap, imaps, pop3, pop3s uint16
}

// newDovecot starts a server in which everybody's password is "right".
func newDovecot(t *testing.T) *dovecot {
	t.Helper()
	dir := workspace(t, nobody)
	ca := newAuthority(t, dir)
	d := &dovecot{ca: ca, imap: newPort(), imaps: newPort(), pop3: newPort(), pop3s: newPort()}
	files := ca.issue(t, dir, "site", site, nextYear())
	prepare(t, nobody, dir, "mkdir", "run", "mail")
	config := write(t, dir, "dovecot.conf", dovecotConfig, "dir", dir, "imap", d.imap, "imaps", d.imaps,
		"pop3", d.pop3, "pop3s", d.pop3s, "certificate", files.certificate, "key", files.key)
	d.server = start(t, nobody, dir, "dovecot", "-F", "-c", config).listens(d.imap, d.imaps, d.pop3, d.pop3s)
	return d
}

// TestMailboxes holds checks of kinds imap and pop3 against Dovecot.
func TestMailboxes(t *testing.T) {
	t.Parallel()
	s := newDovecot(t)
	imap, imaps, pop3, pop3s := s.imap, s.imaps, s.pop3, s.pop3s
	right, wrong := checker.NewSecret("right"), checker.NewSecret("wrong")
	s.quiet(`(?i)error|warning|fatal|disconnected: (connection closed|aborted|too many|inactivity)|no auth attempts`, imap,
		clause{"imap login, starttls", imap, checker.IMAP{Encryption: checker.StartTLS, User: "probe", Password: right}, ""},
		clause{"imap login, tls", imaps, checker.IMAP{Encryption: checker.TLSFirst, User: "probe", Password: right}, ""},
		clause{"pop3 login, starttls", pop3, checker.POP3{Encryption: checker.StartTLS, User: "probe", Password: right}, ""},
		clause{"pop3 login, tls", pop3s, checker.POP3{Encryption: checker.TLSFirst, User: "probe", Password: right}, ""},
	)
	run(t,
		clause{"imap", imap, checker.IMAP{}, ""},
		clause{"imap, starttls", imap, checker.IMAP{Encryption: checker.StartTLS}, ""},
		clause{"pop3", pop3, checker.POP3{}, ""},
		clause{"pop3, tls", pop3s, checker.POP3{Encryption: checker.TLSFirst}, ""},
		clause{"imap login in clear", imap, from{checker.IMAP{User: "probe", Password: right}, visitor},
			"~IMAP NO \\[PRIVACYREQUIRED\\] Plaintext authentication disallowed .*"},
		clause{"imap, wrong password", imaps, checker.IMAP{Encryption: checker.TLSFirst, User: "probe", Password: wrong},
			"IMAP NO [AUTHENTICATIONFAILED] Authentication failed., wanted OK after LOGIN"},
		clause{"pop3 login in clear", pop3, from{checker.POP3{User: "probe", Password: right}, visitor},
			"~POP3 -ERR .*Plaintext authentication disallowed .*"},
		clause{"pop3, wrong password", pop3s, checker.POP3{Encryption: checker.TLSFirst, User: "probe", Password: wrong},
			"POP3 -ERR [AUTH] Authentication failed., wanted +OK as reply to PASS"},
		clause{"imap, TLS to clear", imap, checker.IMAP{Encryption: checker.TLSFirst}, `~not TLS: "\* OK .*`},
		clause{"not IMAP", pop3, checker.IMAP{}, `~not IMAP: "\+OK .*"`},
	)
	verification(t, s.ca, imap, func(o checker.TLSOptions) checker.Probe {
		return checker.IMAP{Encryption: checker.StartTLS, TLS: o}
	})
	verification(t, s.ca, pop3, func(o checker.TLSOptions) checker.Probe {
		return checker.POP3{Encryption: checker.StartTLS, TLS: o}
	})
	outage(t, s.server, imap, checker.IMAP{}, " waiting for the IMAP greeting")
}
