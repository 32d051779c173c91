//go:build ipvs

package main

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"bascule/cmd/internal/config"
	"bascule/cmd/internal/lab"
)

// kernelRule is something that the kernel makes of a service, for which there
// is a rule in the configuration.
type kernelRule struct {
	name   string
	rules  []string // of ipvsadm
	ask    lab.Question
	times  int    // as often as that, and 1 more, until there is no answer
	answer string // the name of the host, "" if there is no answer
	// server is the virtual server in the configuration. What the check says of
	// it has these words, whether it is refused or warned of; "" is nothing.
	server, says string
}

// askVIP is a question to the public virtual address.
func askVIP(protocol string, port uint16) lab.Question {
	return lab.Question{Protocol: protocol, Target: onVIP(false, port)}
}

// kernelRules are those that have to do with where packets go.
func kernelRules() []kernelRule {
	tcp, datagram := askVIP("tcp", serverPort), askVIP("udp", serverPort)
	other, byMark := askVIP("tcp", serverPort+1), askVIP("tcp", marked)
	const address, udp, none = `address = "192.168.56.10:7000"` + "\n", `protocol = "udp"` + "\n", `check = { type = "none" }` + "\n"
	const service, every = "-A -t 192.168.56.10:7000 -s rr", "-A -t 192.168.56.10:0 -s rr -p 60"
	return []kernelRule{
		{"masquerade to a loopback address", []string{service, "-a -t 192.168.56.10:7000 -r 127.0.0.1:7000 -m"}, tcp, 0, "",
			address + `real_server = [{ address = "127.0.0.1:7000" }]`, "is a loopback address"},
		{"direct routing to a loopback address", []string{service, "-a -t 192.168.56.10:7000 -r 127.0.0.1:7000 -g"}, tcp, 0, "lb",
			address + `forwarding = "direct"` + "\n" + `real_server = [{ address = "127.0.0.1:7000" }]`, ""},
		{"a tunnel to a loopback address", []string{service, "-a -t 192.168.56.10:7000 -r 127.0.0.1:7000 -i"}, tcp, 0, "lb",
			address + `forwarding = "tunnel"` + "\n" + `real_server = [{ address = "127.0.0.1:7000" }]`, ""},
		{"the director by its own address", []string{service, "-a -t 192.168.56.10:7000 -r 192.168.56.11:7001 -m"}, tcp, 0, "lb",
			address + `real_server = [{ address = "192.168.56.11:7001" }]`, ""},
		{"the director by a virtual address", []string{service, "-a -t 192.168.56.10:7000 -r 192.168.56.10:7001 -m"}, tcp, 0, "lb",
			address + `sorry_server = "192.168.56.10:7001"` + "\n" + `real_server = [{ address = "192.168.200.11:7000" }]`, ""},
		{"a virtual server behind another", []string{service, "-a -t 192.168.56.10:7000 -r 192.168.56.10:7001 -m",
			"-A -t 192.168.56.10:7001 -s rr", "-a -t 192.168.56.10:7001 -r 192.168.200.11:7000 -m"}, tcp, 0, "lb",
			address + `sorry_server = "192.168.56.10:7001"` + "\n" + `real_server = [{ address = "192.168.200.11:7000" }]` + "\n" +
				`[virtual_server.other]` + "\n" + `address = "192.168.56.10:7001"` + "\n" + `real_server = [{ address = "192.168.200.11:7000" }]`,
			"is the address of the virtual server other"},
		{"datagrams", []string{"-A -u 192.168.56.10:7000 -s rr", "-a -u 192.168.56.10:7000 -r 192.168.200.11:7000 -m"}, datagram, 0, "web1",
			address + udp + none + `real_server = [{ address = "192.168.200.11:7000" }]`, ""},
		{"datagrams each by itself", []string{"-A -u 192.168.56.10:7000 -s rr -o", "-a -u 192.168.56.10:7000 -r 192.168.200.11:7000 -m"}, datagram, 0, "",
			address + udp + none + `one_packet = true` + "\n" + `real_server = [{ address = "192.168.200.11:7000" }]`, "leaves replies untranslated"},
		{"a port behind all ports", []string{every, "-a -t 192.168.56.10:0 -r 192.168.200.11:7000 -m"}, other, 0, "",
			`address = "192.168.56.10:0"` + "\n" + `persistence = "60s"` + "\n" + none + `real_server = [{ address = "192.168.200.11:7000" }]`, "does not translate to"},
		{"a port behind a mark", []string{"-A -f 7 -s rr", "-a -f 7 -r 192.168.200.11:7000 -m"}, byMark, 0, "web1",
			"fwmark = 7\n" + none + `real_server = [{ address = "192.168.200.11:7000" }]`, ""},
		{"a port behind a persistent mark", []string{"-A -f 7 -s rr -p 60", "-a -f 7 -r 192.168.200.11:7000 -m"}, byMark, 0, "",
			"fwmark = 7\n" + `persistence = "60s"` + "\n" + none + `real_server = [{ address = "192.168.200.11:7000" }]`, "does not translate to"},
		hashed("sh", "", "refuses the clients"), hashed("sh", "sh-fallback", ""),
		hashed("mh", "", "refuses the clients"), hashed("mh", "mh-fallback", ""),
		{"a mark and an address", []string{"-A -f 7 -s rr", "-a -f 7 -r 192.168.200.11:7000 -m",
			"-A -t 192.168.56.10:8100 -s rr", "-a -t 192.168.56.10:8100 -r 192.168.56.11:7001 -m"}, byMark, 0, "web1",
			"fwmark = 7\n" + `match = ["tcp 192.168.56.10:8100"]` + "\n" + none + `real_server = [{ address = "192.168.200.11:7000" }]` + "\n" +
				`[virtual_server.other]` + "\n" + `address = "192.168.56.10:8100"` + "\n" + `real_server = [{ address = "192.168.200.11:7000" }]`,
			"has packets of the virtual server other"},
	}
}

// hashed has one of two real servers lose its weight, and clients at so many
// ports that some belong to it.
func hashed(scheduler, flag, says string) kernelRule {
	flags := strings.TrimSuffix(scheduler+"-port,"+flag, ",")
	rule := kernelRule{name: flags, ask: askVIP("tcp", serverPort), times: 40, says: says, rules: []string{
		"-A -t 192.168.56.10:7000 -s " + scheduler + " -b " + flags,
		"-a -t 192.168.56.10:7000 -r 192.168.200.12:7000 -m", "-a -t 192.168.56.10:7000 -r 192.168.200.11:7000 -m",
		"-e -t 192.168.56.10:7000 -r 192.168.200.12:7000 -m -w 0",
	}}
	if says == "" {
		rule.answer = "web1"
	}
	rule.server = fmt.Sprintf("address = %q\nscheduler = %q\nscheduler_flags = [\"%s\"]\n", "192.168.56.10:7000", scheduler, strings.ReplaceAll(flags, ",", `", "`)) +
		"on_failure = \"inhibit\"\n" + `real_server = [{ address = "192.168.200.11:7000" }, { address = "192.168.200.12:7000" }]`
	return rule
}

// TestKernelRules has the kernel do what the check of the configuration
// refuses or warns of, and what looks like that and is not.
func TestKernelRules(t *testing.T) {
	b := lab.NewT(t)
	run := func(words string) {
		t.Helper()
		fields := strings.Fields(words)
		_, err := b.LB.Output(bounded(t), fields[0], fields[1:]...)
		must(t, err)
	}
	run("ip address add 192.168.56.10/24 dev " + lab.FirstCard)
	run("ip address add 192.168.200.250/24 dev " + lab.SecondCard)
	must(t, b.LB.Mark(bounded(t), mark, "tcp", lab.PublicVIP.Addr(), marked))
	for _, address := range []string{"0.0.0.0:7000", "0.0.0.0:7001"} {
		must(t, b.LB.Respond("tcp", netip.MustParseAddrPort(address)))
	}
	for _, protocol := range []string{"tcp", "udp"} {
		must(t, b.Web[0].Respond(protocol, netip.MustParseAddrPort("192.168.200.11:7000")))
	}
	for _, rule := range kernelRules() {
		t.Run(rule.name, func(t *testing.T) {
			run("ipvsadm -C")
			for _, r := range rule.rules {
				run("ipvsadm " + r)
			}
			answer, err := b.Client.Ask(rule.ask)
			for i := 0; i < rule.times && err == nil; i++ {
				answer, err = b.Client.Ask(rule.ask)
			}
			if answer != rule.answer || (err == nil) != (answer != "") {
				t.Errorf("answer by %q, %v, want %q", answer, err, rule.answer)
			}
			checkSays(t, rule)
		})
	}
}

// checkSays looks into what the configuration says of a rule.
func checkSays(t *testing.T, rule kernelRule) {
	t.Helper()
	text := "nodes = [\"lb\"]\n[virtual_server.this]\n" + rule.server + "\n"
	c, err := config.Parse([]config.File{{Name: "bascule.toml", Content: text}})
	said := ""
	if err != nil {
		said = err.Error()
	} else if warned := c.Warnings(); len(warned) > 0 {
		said = warned[0].Error()
	}
	if !strings.Contains(said, rule.says) || (said == "") != (rule.says == "") {
		t.Errorf("the configuration\n%ssays %q, want %q", text, said, rule.says)
	}
}
