package checker

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/net/dns/dnsmessage"
)

// dnsQuestion is a checker that expects an answer, without a target.
func dnsQuestion(t testing.TB, probe DNS) *dnsChecker {
	t.Helper()
	name, err := dnsName(probe.Name)
	if err != nil {
		t.Fatal(err)
	}
	kind, err := dnsType(probe.Type)
	if err != nil {
		t.Fatal(err)
	}
	return &dnsChecker{
		question: dnsmessage.Question{Name: name, Type: kind, Class: dnsmessage.ClassINET},
		answer:   dnsCanonical(probe.Answer, kind),
	}
}

// Every form that data has is found, and the first one is shown.
func TestDNSData(t *testing.T) {
	name := dnsmessage.MustNewName
	for _, test := range []struct {
		record dnsmessage.ResourceBody
		kind   string
		forms  []string
	}{
		{dnsA1, "A", []string{"192.0.2.1"}},
		{&dnsmessage.AAAAResource{AAAA: [16]byte{0x20, 1, 0xd, 0xb8, 15: 1}}, "AAAA", []string{"2001:db8::1", "2001:DB8:0:0::1"}},
		{&dnsmessage.NSResource{NS: name("ns.example.org.")}, "NS", []string{"ns.example.org.", "NS.example.org"}},
		{&dnsmessage.CNAMEResource{CNAME: name("www.example.org.")}, "CNAME", []string{"www.example.org.", "www.example.org"}},
		{&dnsmessage.PTRResource{PTR: name("host.example.org.")}, "PTR", []string{"host.example.org.", "host.example.org"}},
		{dnsMX, "MX", []string{"10 mx.example.org.", "10 mx.example.org"}},
		{&dnsmessage.SRVResource{Priority: 1, Weight: 2, Port: 5060, Target: name("sip.example.org.")}, "SRV",
			[]string{"1 2 5060 sip.example.org.", "1 2 5060 sip.example.org"}},
		{&dnsmessage.SOAResource{NS: name("ns.example.org."), MBox: name("root.example.org."), Serial: 2026010100, Refresh: 1, Retry: 2, Expire: 3, MinTTL: 4},
			"SOA", []string{"ns.example.org. root.example.org. 2026010100 1 2 3 4"}},
		{&dnsmessage.TXTResource{TXT: []string{`v=spf1 "a"`, "\x07\\"}}, "TXT", []string{`"v=spf1 \"a\"" "\007\\"`, "v=spf1 \"a\"\x07\\"}},
		{&dnsmessage.UnknownResource{Type: 257, Data: []byte{0, 5, 'i'}}, "CAA", []string{`\# 3 000569`}},
		{&dnsmessage.UnknownResource{Type: 65280, Data: nil}, "TYPE65280", []string{`\# 0`}},
	} {
		query := dnsmessage.Message{Header: dnsmessage.Header{ID: 7}}
		ask := dnsQuestion(t, DNS{Name: "example.org", Type: test.kind})
		query.Questions = []dnsmessage.Question{ask.question}
		message := packDNS(t, query, nil, test.record)
		for i, form := range append(test.forms, "something else") {
			c := dnsQuestion(t, DNS{Name: "example.org", Type: test.kind, Answer: form})
			reply, ours := c.read(message, 7)
			want := dnsReply{found: i < len(test.forms)}
			if !want.found {
				want.other = test.forms[0]
			}
			if !ours || reply != want {
				t.Errorf("%s %q: %+v, want %+v", test.kind, form, reply, want)
			}
		}
	}
}

// A record of another type before the one that is looked for is passed over.
func TestDNSChain(t *testing.T) {
	c := dnsQuestion(t, DNS{Name: "www.example.org", Type: "A", Answer: "192.0.2.2"})
	query := dnsmessage.Message{Questions: []dnsmessage.Question{c.question}}
	message := packDNS(t, query, nil, &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName("a.example.org.")}, dnsA1, dnsA2)
	if reply, ours := c.read(message, 0); !ours || !reply.found {
		t.Errorf("%+v, want the record", reply)
	}
	for n := range message {
		if reply, ours := c.read(message[:n], 0); ours && reply.found {
			t.Errorf("the record is found in %d of %d bytes", n, len(message))
		}
	}
}

func TestDNSWords(t *testing.T) {
	for name, kind := range dnsTypes {
		got, err := dnsType(strings.ToLower(name))
		if got != kind || err != nil {
			t.Errorf("type %s is %d, error %v, want %d", name, got, err, kind)
		}
		if known := kind.String(); strings.HasPrefix(known, "Type") && known != "TypeALL" && known != "Type"+name {
			t.Errorf("type %d is %s, want %s", kind, known, name)
		}
	}
	for code := range dnsmessage.RCode(16) {
		set, err := dnsRcodes(dnsRcodeName(code))
		if err != nil || set != 1<<code || !set.has(code) {
			t.Errorf("rcode %d is %s, and that %s", code, dnsRcodeName(code), set)
		}
	}
	if all := dnsRcodeSet(0xffff); all.has(16) || len(slices.Collect(strings.SplitSeq(all.String(), ","))) != 16 {
		t.Errorf("all codes: %s", all)
	}
}

// Whatever a server sends, the checker survives it, and what it shows can be
// printed.
func FuzzDNS(f *testing.F) {
	for _, probe := range []DNS{{}, {Name: "example.org", Type: "MX", Answer: "10 mx.example.org"}, {Type: "TXT", Answer: "x"}} {
		c := dnsQuestion(f, probe)
		m := dnsmessage.Message{Header: dnsmessage.Header{ID: 7, Response: true}, Questions: []dnsmessage.Question{c.question}}
		header := dnsmessage.ResourceHeader{Name: c.question.Name, Class: dnsmessage.ClassINET}
		m.Answers = []dnsmessage.Resource{{Header: header, Body: dnsMX}, {Header: header, Body: &dnsmessage.TXTResource{TXT: []string{"\xff"}}}}
		message, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(message, probe.Answer)
	}
	f.Fuzz(func(t *testing.T, message []byte, answer string) {
		c := dnsQuestion(t, DNS{Name: "example.org", Type: "MX"})
		c.answer = answer
		reply, ours := c.read(message, 7)
		if !ours && reply != (dnsReply{}) || answer == "" && (reply.found || reply.other != "") {
			t.Errorf("%+v of what is not read", reply)
		}
		if text := printed(reply.other); !utf8.ValidString(text) || len(text) > maxQuoted+5 {
			t.Errorf("%q is shown", text)
		}
	})
}
