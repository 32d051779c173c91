//go:build servers

package servers

import (
	"syscall"
	"testing"

	"bascule/checker"
)

// unboundConfig is a server that knows a few names, and asks itself for another, as a
// visitor whom it refuses.
const unboundConfig = `
server:
	directory: "@dir@"
	chroot: ""
	username: ""
	pidfile: ""
	use-syslog: no
	logfile: ""
	interface: 127.0.0.1
	port: @port@
	do-ip6: no
	do-not-query-localhost: no
	outgoing-interface: 127.0.0.2
	module-config: "iterator"
	access-control: 127.0.0.2/32 refuse
	local-zone: "example.org." static
	local-data: "example.org. SOA ns.example.org. admin.example.org. 1 3600 600 86400 300"
	local-data: "example.org. NS ns.example.org."
	local-data: "www.example.org. A 192.0.2.80"
	local-data: "www.example.org. A 192.0.2.81"
	local-data: "www.example.org. AAAA 2001:db8::80"
	local-data: "example.org. MX 10 mx.example.org."
	local-data: 'txt.example.org. TXT "hello world"'
	local-data: "_sip._udp.example.org. SRV 10 20 5060 sip.example.org."
@many@
remote-control:
	control-enable: no
forward-zone:
	name: "lost.example."
	forward-addr: 127.0.0.1@at@@port@
`

// TestDNS holds checks of kinds dns and udp against Unbound.
func TestDNS(t *testing.T) {
	t.Parallel()
	dir, port := workspace(t, nobody), newPort()
	many := ""
	for i := range 250 {
		many += "\tlocal-data: \"many.example.org. A 192.0.2." + portText(uint16(i)) + "\"\n"
	}
	config := write(t, dir, "unbound.conf", unboundConfig, "dir", dir, "port", port, "many", many, "at", "@")
	s := start(t, nobody, dir, "unbound", "-d", "-p", "-c", config).listens(port).says("start of service")
	ask := func(name, kind, answer string) checker.DNS {
		return checker.DNS{Name: name, Type: kind, Answer: answer}
	}
	tcp := ask("www.example.org", "A", "192.0.2.80")
	tcp.TCP = true
	code := func(name, rcode string) checker.DNS {
		return checker.DNS{Name: name, Type: "A", Rcode: rcode, Recursion: true}
	}
	// A question for the address of www.example.org, and how its answer begins.
	const question = "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x07example\x03org\x00\x00\x01\x00\x01"
	udp := checker.UDP{Payload: question, Require: true, Reply: "1234 8xx0 0001 0002", MinReply: 30}
	otherwise := udp
	otherwise.Reply = "4321"
	short := udp
	short.MinReply, short.Reply = 2000, ""
	before := len(s.written())
	run(t,
		clause{"zone", port, checker.DNS{Name: "example.org"}, ""},
		clause{"A", port, ask("www.example.org", "A", "192.0.2.81"), ""},
		clause{"AAAA", port, ask("www.example.org", "AAAA", "2001:db8::80"), ""},
		clause{"MX", port, ask("example.org", "MX", "10 mx.example.org."), ""},
		clause{"NS", port, ask("example.org", "NS", "ns.example.org."), ""},
		clause{"SRV", port, ask("_sip._udp.example.org", "SRV", "10 20 5060 sip.example.org."), ""},
		clause{"TXT", port, ask("txt.example.org", "TXT", `"hello world"`), ""},
		clause{"over TCP", port, tcp, ""},
		clause{"too long for UDP", port, ask("many.example.org", "A", "192.0.2.249"), ""},
		clause{"NXDOMAIN wanted", port, code("no.example.org", "NXDOMAIN"), ""},
		clause{"udp", port, udp, ""},
	)
	s.settle()
	if more := s.written()[before:]; more != "" {
		t.Errorf("good checks leave %q in the log", more)
	}
	run(t,
		clause{"NXDOMAIN", port, ask("no.example.org", "A", ""), "DNS NXDOMAIN, wanted NOERROR"},
		clause{"SERVFAIL", port, code("www.lost.example", ""), "DNS SERVFAIL, wanted NOERROR"},
		clause{"REFUSED", port, from{checker.DNS{Name: "example.org"}, visitor}, "DNS REFUSED, wanted NOERROR"},
		clause{"other address", port, ask("www.example.org", "A", "192.0.2.82"), `~DNS answer "192.0.2.8[01]", wanted "192.0.2.82"`},
		clause{"not among many", port, ask("many.example.org", "A", "192.0.3.1"), `~DNS answer "192.0.2.[0-9]+", wanted "192.0.3.1"`},
		clause{"no such type", port, ask("www.example.org", "TXT", "x"), `DNS answer without records, wanted "x"`},
		clause{"other datagram", port, otherwise, "~.*1234.*4321.*"},
		clause{"short datagram", port, short, "~.*[0-9]+ bytes.*2000.*"},
	)
	t.Run("hanging", func(t *testing.T) {
		s.stop()
		defer s.signal(syscall.SIGCONT)
		for _, p := range []checker.Probe{checker.DNS{Name: "example.org"}, udp, checker.DNS{Name: "example.org", TCP: true}} {
			_, err := probe(t, port, p, impatience)
			wantReason(t, err, "~timed out after 1s.*")
		}
	})
	s.kill()
	for _, p := range []checker.Probe{checker.DNS{Name: "example.org"}, udp, checker.UDP{Payload: "x"}, tcp} {
		_, err := probe(t, port, p, patience)
		wantReason(t, err, "connection refused")
	}
}
