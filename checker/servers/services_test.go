//go:build servers

package servers

import (
	"fmt"
	"path/filepath"
	"testing"

	"bascule/checker"
)

// vsftpdConfig is a server that knows anonymous users only, and of these only
// who gives a certain address as password.
const vsftpdConfig = `
listen=YES
background=NO
run_as_launching_user=YES
listen_address=127.0.0.1
listen_port=@port@
anonymous_enable=YES
local_enable=NO
secure_email_list_enable=YES
email_password_file=@dir@/passwords
anon_root=@dir@/files
secure_chroot_dir=@dir@/files
max_per_ip=3
xferlog_enable=YES
log_ftp_protocol=YES
dual_log_enable=YES
vsftpd_log_file=@dir@/ftp.log
xferlog_file=@dir@/xfer.log
seccomp_sandbox=NO
`

// TestFTP holds checks against vsftpd.
func TestFTP(t *testing.T) {
	t.Parallel()
	dir, port := workspace(t, nobody), newPort()
	prepare(t, account{}, dir, "mkdir", "-m", "555", "files")
	write(t, dir, "passwords", "right@example.org\n")
	config := write(t, dir, "vsftpd.conf", vsftpdConfig, "dir", dir, "port", port)
	prepare(t, account{}, dir, "chown", "65534", config)
	s := start(t, nobody, dir, "vsftpd", config).listens(port)
	s.log = dir + "/ftp.log"
	login := func(user, password string) checker.FTP {
		return checker.FTP{User: user, Password: checker.NewSecret(password)}
	}
	run(t,
		clause{"ftp", port, checker.FTP{}, ""},
		clause{"login", port, login("anonymous", "right@example.org"), ""},
		clause{"wrong password", port, login("anonymous", "wrong@example.org"), "~FTP 530 Login incorrect., wanted 230.*"},
		clause{"no such user", port, login("probe", "right"), "FTP 530 This FTP server is anonymous only., wanted 230 or 331 after USER"},
		clause{"not SMTP", port, checker.SMTP{}, "~SMTP (500|530) .*, wanted 250 after HELO"},
	)
	crowd(t, s, port, 3, checker.FTP{}, "FTP 421 There are too many connections from your internet address., wanted 220")
	outage(t, s, port, checker.FTP{}, " waiting for the FTP greeting")
}

// overTLS is a port at which HAProxy speaks TLS for a server that does not, and
// the authority of its certificate.
func overTLS(t *testing.T, behind uint16) (port uint16, ca *authority) {
	t.Helper()
	dir, port := workspace(t, nobody), newPort()
	ca = newAuthority(t, dir)
	files := ca.issue(t, dir, "site", site, nextYear())
	prepare(t, account{}, dir, "sh", "-ec", `cat "$0" "$1" >both.pem`, files.certificate, files.key)
	config := write(t, dir, "haproxy.cfg", "defaults\n\tmode tcp\n\ttimeout connect 60s\n\ttimeout client 60s\n\ttimeout server 60s\n"+
		"listen all\n\tbind 127.0.0.1:@port@ ssl crt @dir@/both.pem\n\tserver it 127.0.0.1:@behind@\n",
		"port", port, "dir", dir, "behind", behind)
	start(t, nobody, dir, "haproxy", "-db", "-f", config).listens(port)
	return port, ca
}

// TestNNTP holds checks against leafnode, which somebody else listens for.
func TestNNTP(t *testing.T) {
	t.Parallel()
	news := accountOf(t, "news")
	dir := workspace(t, news)
	config := write(t, dir, "config", "server = news.example.org\nexpire = 20\nhostname = news.home.arpa\n")
	prepare(t, account{}, dir, "chown", fmt.Sprint(news.uid), config)
	port, broken := newPort(), newPort()
	inetd := []string{"systemd-socket-activate", "--inetd", "-a", "-l", "127.0.0.1:" + portText(port), "/usr/sbin/leafnode", "-F", config}
	s := start(t, news, dir, inetd...).listens(port)
	inetd[4] = "127.0.0.1:" + portText(broken)
	nameless := []string{"unshare", "--uts", "sh", "-ec", `hostname nowhere; exec setpriv --reuid news --regid news --clear-groups "$@"`, "sh"}
	start(t, account{}, dir, append(nameless, inetd...)...).listens(broken)
	run(t,
		clause{"nntp", port, checker.NNTP{}, ""},
		clause{"starttls", port, checker.NNTP{Encryption: checker.StartTLS}, "~NNTP 500 .*, wanted 382 after STARTTLS"},
		clause{"host without a domain", broken, checker.NNTP{},
			"~NNTP 503 Leafnode must have a unique fully-qualified domain name. .*, wanted 200 or 201"},
	)
	secure, ca := overTLS(t, port)
	verification(t, ca, secure, func(o checker.TLSOptions) checker.Probe {
		return checker.NNTP{Encryption: checker.TLSFirst, TLS: o}
	})
	outage(t, s, port, checker.NNTP{}, " waiting for the NNTP greeting")
}

// kamailioConfig is a server that answers OPTIONS, for one user with 503 and
// for another with nothing.
const kamailioConfig = `
debug=2
log_stderror=yes
fork=yes
children=1
tcp_children=1
listen=udp:127.0.0.1:@port@
listen=tcp:127.0.0.1:@port@
mpath="@modules@"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "sanity.so"
request_route {
	if (!sanity_check("17895", "7")) { exit; }
	if ($rU == "busy") { sl_send_reply("503", "Service Unavailable"); exit; }
	if ($rU == "silent") { exit; }
	if (is_method("OPTIONS")) { sl_send_reply("200", "Keepalive"); exit; }
	sl_send_reply("405", "Method Not Allowed");
}
`

// TestSIP holds checks against Kamailio.
func TestSIP(t *testing.T) {
	t.Parallel()
	dir, port := workspace(t, nobody), newPort()
	modules, err := filepath.Glob("/usr/lib/*/kamailio/modules")
	if err != nil || len(modules) == 0 {
		t.Fatal("Kamailio is not installed")
	}
	config := write(t, dir, "kamailio.cfg", kamailioConfig, "port", port, "modules", modules[0]+"/")
	s := start(t, nobody, dir, "kamailio", "-DD", "-E", "-m", "16", "-M", "4", "-Y", dir, "-f", config).listens(port)
	s.settle()
	options := func(network, uri, status string) checker.SIP {
		return checker.SIP{Network: network, URI: uri, Status: status}
	}
	before := len(s.written())
	run(t,
		clause{"udp", port, options("udp", "", ""), ""},
		clause{"tcp", port, options("tcp", "", ""), ""},
		clause{"user", port, options("udp", "sip:ping@example.org", "200-299"), ""},
		clause{"status", port, options("tcp", "sip:busy@example.org", "200,503"), ""},
	)
	s.settle()
	if more := s.written()[before:]; more != "" {
		t.Errorf("good checks leave %q in the log", more)
	}
	run(t,
		clause{"busy, udp", port, options("udp", "sip:busy@example.org", ""), "SIP 503 Service Unavailable, wanted 200"},
		clause{"busy, tcp", port, options("tcp", "sip:busy@example.org", ""), "SIP 503 Service Unavailable, wanted 200"},
	)
	secure, ca := overTLS(t, port)
	verification(t, ca, secure, func(o checker.TLSOptions) checker.Probe {
		return checker.SIP{Network: "tcp", Encryption: checker.TLSFirst, TLS: o}
	})
	for _, network := range []string{"udp", "tcp"} {
		_, err := probe(t, port, options(network, "sip:silent@example.org", ""), impatience)
		wantReason(t, err, "timed out after 1s waiting for the SIP reply to OPTIONS")
	}
	outage(t, s, port, options("tcp", "", ""), " waiting for the SIP reply to OPTIONS")
	run(t, clause{"ended, udp", port, options("udp", "", ""), "connection refused"})
}

// radiusConfig is a server with one user.
const radiusConfig = `
name = radiusd
prefix = /usr
logdir = @dir@
run_dir = @dir@
libdir = /usr/lib/freeradius
pidfile = @dir@/pid
max_requests = 1024
log {
	destination = stderr
	auth = yes
}
security {
	status_server = yes
	reject_delay = 0
}
thread pool {
	start_servers = 1
	max_servers = 2
	min_spare_servers = 1
	max_spare_servers = 1
}
client director {
	ipaddr = 127.0.0.1
	secret = right
}
modules {
	pap {
	}
	always handled {
		rcode = handled
	}
}
server default {
	listen {
		type = auth
		ipaddr = 127.0.0.1
		port = @port@
	}
	listen {
		type = acct
		ipaddr = 127.0.0.1
		port = @accounting@
	}
	authorize {
		if (&User-Name == "probe") {
			update control {
				Cleartext-Password := "@password@"
			}
		}
		if (&User-Name == "silent") {
			update control {
				Response-Packet-Type := Do-Not-Respond
			}
			handled
		}
		pap
	}
	authenticate {
		Auth-Type PAP {
			pap
		}
	}
	post-auth {
		Post-Auth-Type REJECT {
			update reply {
				Reply-Message := "no entry"
			}
		}
	}
}
`

// TestRADIUS holds checks against FreeRADIUS.
func TestRADIUS(t *testing.T) {
	t.Parallel()
	dir, port, accounting := workspace(t, nobody), newPort(), newPort()
	const password = "a password of more than one block of MD5"
	config := write(t, dir, "radiusd.conf", radiusConfig, "dir", dir, "port", port, "accounting", accounting, "password", password)
	prepare(t, account{}, dir, "chown", "65534", config)
	prepare(t, account{}, dir, "chmod", "600", config)
	s := start(t, nobody, dir, "freeradius", "-f", "-l", "stdout", "-d", dir).listens(port, accounting).says("Ready to process requests")
	secret := checker.NewSecret("right")
	login := func(user, password string) checker.RADIUS {
		return checker.RADIUS{Secret: secret, User: user, Password: checker.NewSecret(password)}
	}
	run(t,
		clause{"status", port, checker.RADIUS{Secret: secret}, ""},
		clause{"status of accounting", accounting, checker.RADIUS{Secret: secret}, ""},
		clause{"login", port, login("probe", password), ""},
		clause{"wrong password", port, login("probe", "wrong"), `RADIUS Access-Reject "no entry", wanted Access-Accept`},
		clause{"no such user", port, login("nobody", "right"), `RADIUS Access-Reject "no entry", wanted Access-Accept`},
	)
	for name, p := range map[string]checker.Probe{
		"wrong secret": checker.RADIUS{Secret: checker.NewSecret("wrong")},
		"stranger":     from{checker.RADIUS{Secret: secret}, visitor},
		"silence":      login("silent", "right"),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := probe(t, port, p, impatience)
			wantReason(t, err, "timed out after 1s waiting for the RADIUS reply")
		})
	}
	outage(t, s, port, checker.RADIUS{Secret: secret}, " waiting for the RADIUS reply")
}
