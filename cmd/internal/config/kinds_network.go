package config

import (
	"encoding/hex"
	"strings"

	"bascule/checker"
)

// kindsNetwork are the kinds that exchange datagrams.
var kindsNetwork = []*kind{
	{
		name: "dns",
		keys: []key{
			words("name", "the name to ask for"),
			words("query", "the type of the records to ask for"),
			words("rcode", "the accepted codes"),
			words("answer", "the data of a record that must be in the answer"),
			yesNo("recursion"),
			oneWord("transport", "udp", "tcp"),
		},
		aliases: map[string]string{"type": "query"},
		build: func(v values) checker.Probe {
			return checker.DNS{
				Name: v.text("name"), Type: v.text("query"), Rcode: v.text("rcode"), Answer: v.text("answer"),
				Recursion: v.flag("recursion"), TCP: v.text("transport") == "tcp",
			}
		},
	},
	{name: "ping", build: func(values) checker.Probe { return checker.Ping{} }, portless: true, without: []string{"port"}},
	{
		name: "udp",
		keys: []key{
			words("payload", "what to send"),
			{name: "payload_hex", read: as(digits)},
			yesNo("require_reply"),
			words("reply", "what the reply begins with"),
			words("reply_hex", "what the reply begins with, in hexadecimal"),
			{name: "min_reply", read: as(integer(0, maxDatagram, "0 to 65507"))},
			{name: "max_reply", read: as(integer(0, maxDatagram, "0 (any) to 65507"))},
		},
		build: buildUDP,
	},
}

// maxDatagram is the longest payload of UDP over IPv4.
const maxDatagram = 65507

// buildUDP returns a check of UDP. Who says what a reply is like wants one.
func buildUDP(v values) checker.Probe {
	probe := checker.UDP{
		Payload: v.text("payload") + v.text("payload_hex"),
		Reply:   v.text("reply_hex") + hex.EncodeToString([]byte(v.text("reply"))),
		// Both are within the bounds of their keys.
		MinReply: int(value(v, "min_reply", int64(0))), MaxReply: int(value(v, "max_reply", int64(0))),
	}
	probe.Require = value(v, "require_reply", probe.Reply != "" || probe.MinReply != 0 || probe.MaxReply != 0)
	return probe
}

// digits reads bytes in hexadecimal.
func digits(p *problems, n *node) (string, bool) {
	written, ok := text("hexadecimal digits")(p, n)
	if !ok {
		return "", false
	}
	raw, err := hex.DecodeString(strings.ReplaceAll(written, " ", ""))
	if err != nil || len(raw) == 0 {
		p.add(n.place, "%s is not in hexadecimal: two digits for each byte are wanted, such as \"0d0a\"", quote(written))
		return "", false
	}
	return string(raw), true
}
