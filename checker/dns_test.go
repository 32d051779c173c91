package checker

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// dnsServer answers questions over UDP and TCP on one port of loopback until
// the test ends. What it sends is for the test to say: nil is silence.
func dnsServer(t *testing.T, answer func(query dnsmessage.Message, tcp bool) [][]byte) netip.AddrPort {
	t.Helper()
	var udp net.PacketConn
	target := serve(t, func(conn net.Conn) {
		_ = conn.SetDeadline(time.Now().Add(patience))
		var size [2]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		message := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(conn, message); err != nil {
			t.Errorf("a question over TCP is cut off: %v", err)
			return
		}
		replies := answer(parseDNS(t, message), true)
		for _, reply := range replies {
			_, _ = conn.Write(binary.BigEndian.AppendUint16(nil, uint16(len(reply))))
			_, _ = conn.Write(reply)
		}
		if replies == nil {
			_, _ = conn.Read(size[:]) // until the probe goes
		}
	})
	udp, err := net.ListenPacket("udp4", target.String())
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() {
		_ = udp.Close()
		<-done
	})
	go func() {
		defer close(done)
		buffer := make([]byte, 1000)
		for {
			n, from, err := udp.ReadFrom(buffer)
			if err != nil {
				return
			}
			for _, reply := range answer(parseDNS(t, buffer[:n]), false) {
				_, _ = udp.WriteTo(reply, from)
			}
		}
	}()
	return target
}

// parseDNS reads a question.
func parseDNS(t *testing.T, message []byte) dnsmessage.Message {
	var m dnsmessage.Message
	if err := m.Unpack(message); err != nil || len(m.Questions) != 1 || m.Response {
		t.Errorf("not a question: %v, error %v", m, err)
	}
	return m
}

// packDNS writes the answer to a question with changes.
func packDNS(t *testing.T, query dnsmessage.Message, change func(*dnsmessage.Message), records ...dnsmessage.ResourceBody) []byte {
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: query.ID, Response: true}, Questions: query.Questions}
	for _, body := range records {
		header := dnsmessage.ResourceHeader{Name: query.Questions[0].Name, Class: dnsmessage.ClassINET, TTL: 60}
		m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: body})
	}
	if change != nil {
		change(&m)
	}
	message, err := m.Pack()
	if err != nil {
		t.Errorf("pack an answer: %v", err)
	}
	return message
}

// dnsSpec is a DNS check of a target.
func dnsSpec(target netip.AddrPort, probe DNS) Spec {
	return Spec{Probe: probe, Target: target, Interval: time.Minute, Timeout: patience, Rise: 1, Fall: 1}
}

// Some records.
var (
	dnsA1 = &dnsmessage.AResource{A: [4]byte{192, 0, 2, 1}}
	dnsA2 = &dnsmessage.AResource{A: [4]byte{192, 0, 2, 2}}
	dnsMX = &dnsmessage.MXResource{Pref: 10, MX: dnsmessage.MustNewName("mx.example.org.")}
)

// rcode is a change of an answer.
func rcode(code dnsmessage.RCode) func(*dnsmessage.Message) {
	return func(m *dnsmessage.Message) { m.RCode = code }
}

func TestDNS(t *testing.T) {
	noLeak(t)
	type answer func(t *testing.T, q dnsmessage.Message) []byte
	with := func(change func(*dnsmessage.Message), records ...dnsmessage.ResourceBody) answer {
		return func(t *testing.T, q dnsmessage.Message) []byte { return packDNS(t, q, change, records...) }
	}
	for _, test := range []struct {
		name   string
		probe  DNS
		answer answer
		want   string
	}{
		{"default", DNS{}, with(nil), ""},
		{"records that nobody asked about", DNS{Type: "A"}, with(nil, dnsA1), ""},
		{"failing", DNS{}, with(rcode(2)), "DNS SERVFAIL, wanted NOERROR"},
		{"refusing", DNS{Rcode: "NOERROR,NXDOMAIN"}, with(rcode(5)), "DNS REFUSED, wanted NOERROR,NXDOMAIN"},
		{"refusing without the question", DNS{}, with(func(m *dnsmessage.Message) { m.RCode, m.Questions = 5, nil }), "DNS REFUSED, wanted NOERROR"},
		{"wanted to refuse", DNS{Rcode: "REFUSED"}, with(rcode(5)), ""},
		{"unknown code", DNS{}, with(rcode(12)), "DNS RCODE12, wanted NOERROR"},
		{"expected record", DNS{Type: "A", Answer: "192.0.2.2"}, with(nil, dnsA1, dnsA2), ""},
		{"expected record of another code", DNS{Type: "A", Answer: "192.0.2.2", Rcode: "NXDOMAIN"}, with(nil, dnsA2), "DNS NOERROR, wanted NXDOMAIN"},
		{"other record", DNS{Type: "A", Answer: "192.0.2.3"}, with(nil, dnsA1, dnsA2), `DNS answer "192.0.2.1", wanted "192.0.2.3"`},
		{"no record", DNS{Type: "A", Answer: "192.0.2.3"}, with(nil), `DNS answer without records, wanted "192.0.2.3"`},
		{"another case", DNS{Type: "MX", Name: "Example.ORG", Answer: "10 MX.example.org"}, with(func(m *dnsmessage.Message) {
			m.Questions = []dnsmessage.Question{{Name: dnsmessage.MustNewName("eXAMPLE.org."), Type: dnsmessage.TypeMX, Class: dnsmessage.ClassINET}}
		}, dnsMX), ""},
		{"text", DNS{Type: "TXT", Answer: "Key=aB"}, with(nil, &dnsmessage.TXTResource{TXT: []string{"Key=aB"}}), ""},
		{"text in another case", DNS{Type: "TXT", Answer: "Key=aB"}, with(nil, &dnsmessage.TXTResource{TXT: []string{"Key=ab"}}), `DNS answer "\"Key=ab\"", wanted "Key=aB"`},
		{"text like an address", DNS{Type: "TXT", Answer: "2001:DB8::1"}, with(nil, &dnsmessage.TXTResource{TXT: []string{"2001:DB8::1"}}), ""},
		{"a type without a form", DNS{Type: "CAA", Answer: `\# 4 0A00 0001`}, with(nil, &dnsmessage.UnknownResource{Type: 257, Data: []byte{10, 0, 0, 1}}), ""},
		{"long text", DNS{Type: "TXT", Answer: "x"}, with(nil, &dnsmessage.TXTResource{TXT: []string{"\x1b" + strings.Repeat("y", 200)}}),
			`DNS answer "\"\\027` + strings.Repeat("y", 72) + `…", wanted "x"`},
	} {
		for _, tcp := range []bool{false, true} {
			name := map[bool]string{false: " over UDP", true: " over TCP"}[tcp]
			t.Run(test.name+name, func(t *testing.T) {
				target := dnsServer(t, func(q dnsmessage.Message, overTCP bool) [][]byte {
					if overTCP != tcp {
						t.Errorf("asked over TCP: %t, want %t", overTCP, tcp)
					}
					return [][]byte{test.answer(t, q)}
				})
				test.probe.TCP = tcp
				wantError(t, check(t, dnsSpec(target, test.probe)), test.want)
			})
		}
	}
}

// The question is what was configured, and never has the same id.
func TestDNSQuestion(t *testing.T) {
	ids := map[uint16]bool{}
	asked := make(chan dnsmessage.Message, 1)
	target := dnsServer(t, func(q dnsmessage.Message, _ bool) [][]byte {
		asked <- q
		return [][]byte{packDNS(t, q, nil)}
	})
	for _, test := range []struct {
		probe DNS
		want  string
	}{
		{DNS{}, "{. TypeSOA ClassINET} false"},
		{DNS{Name: "www.example.org", Type: "aaaa", Recursion: true}, "{www.example.org. TypeAAAA ClassINET} true"},
		{DNS{Name: "www.example.org.", Type: "TYPE65", TCP: true}, "{www.example.org. TypeHTTPS ClassINET} false"},
		{DNS{Type: "65280"}, "{. 65280 ClassINET} false"},
	} {
		wantError(t, check(t, dnsSpec(target, test.probe)), "")
		got := <-asked
		ids[got.ID] = true
		q := got.Questions[0]
		text := "{" + q.Name.String() + " " + q.Type.String() + " " + q.Class.String() + "} " + map[bool]string{true: "true", false: "false"}[got.RecursionDesired]
		if text != test.want {
			t.Errorf("%+v asks %s, want %s", test.probe, text, test.want)
		}
	}
	if len(ids) == 1 {
		t.Error("all questions have the same id")
	}
}

// An answer that was cut off is asked for once more over TCP, if what is
// missing may matter.
func TestDNSTruncated(t *testing.T) {
	for _, test := range []struct {
		name  string
		probe DNS
		tcp   bool
		want  string
	}{
		{"any answer", DNS{Type: "A"}, false, ""},
		{"record in the part that is there", DNS{Type: "A", Answer: "192.0.2.1"}, false, ""},
		{"record in the rest", DNS{Type: "A", Answer: "192.0.2.2"}, true, ""},
		{"record nowhere", DNS{Type: "A", Answer: "192.0.2.3"}, true, `DNS answer "192.0.2.1", wanted "192.0.2.3"`},
		{"wrong code", DNS{Type: "A", Answer: "192.0.2.3", Rcode: "REFUSED"}, false, "DNS NOERROR, wanted REFUSED"},
	} {
		t.Run(test.name, func(t *testing.T) {
			asked := make(chan bool, 2)
			target := dnsServer(t, func(q dnsmessage.Message, tcp bool) [][]byte {
				if tcp {
					asked <- true
					return [][]byte{packDNS(t, q, nil, dnsA1, dnsA2)}
				}
				return [][]byte{packDNS(t, q, func(m *dnsmessage.Message) { m.Truncated = true }, dnsA1)}
			})
			wantError(t, check(t, dnsSpec(target, test.probe)), test.want)
			if tcp := len(asked) == 1; tcp != test.tcp {
				t.Errorf("asked over TCP: %t, want %t", tcp, test.tcp)
			}
		})
	}
}

// What is no answer to the question is passed over.
func TestDNSIgnores(t *testing.T) {
	aliens := map[string]func(*dnsmessage.Message){
		"wrong id":        func(m *dnsmessage.Message) { m.ID++ },
		"a question":      func(m *dnsmessage.Message) { m.Response = false },
		"wrong operation": func(m *dnsmessage.Message) { m.OpCode = 4 },
		"no question":     func(m *dnsmessage.Message) { m.Questions = nil },
		"another name":    func(m *dnsmessage.Message) { m.Questions[0].Name = dnsmessage.MustNewName("example.net.") },
		"another type":    func(m *dnsmessage.Message) { m.Questions[0].Type = dnsmessage.TypeMX },
		"another class":   func(m *dnsmessage.Message) { m.Questions[0].Class = dnsmessage.ClassCHAOS },
		"two questions": func(m *dnsmessage.Message) {
			m.Questions = append(m.Questions[:0:0], dnsmessage.Question{Name: dnsmessage.MustNewName("a."), Type: 1, Class: 1}, m.Questions[0])
		},
		"failure, wrong id":    func(m *dnsmessage.Message) { m.ID++; m.RCode = 2 },
		"failure, another one": func(m *dnsmessage.Message) { m.RCode = 2; m.Questions[0].Type = dnsmessage.TypeMX },
	}
	for name, change := range aliens {
		t.Run(name, func(t *testing.T) {
			noLeak(t)
			var silent atomic.Bool
			target := dnsServer(t, func(q dnsmessage.Message, _ bool) [][]byte {
				alien := packDNS(t, q, func(m *dnsmessage.Message) {
					m.Questions = append([]dnsmessage.Question(nil), m.Questions...)
					change(m)
				})
				if !silent.Load() {
					return [][]byte{{}, []byte("garbage"), alien, packDNS(t, q, nil)}
				}
				return [][]byte{alien}
			})
			wantError(t, check(t, dnsSpec(target, DNS{Name: "example.org"})), "")
			wantError(t, check(t, dnsSpec(target, DNS{Name: "example.org", TCP: true})), "")
			silent.Store(true)
			spec := dnsSpec(target, DNS{Name: "example.org"})
			spec.Timeout = 200 * time.Millisecond
			wantError(t, check(t, spec), "timed out after 200ms, with answers to other questions")
		})
	}
}

// Servers that are broken in other ways.
func TestDNSBroken(t *testing.T) {
	noLeak(t)
	silent := func(dnsmessage.Message, bool) [][]byte { return nil }
	for _, test := range []struct {
		name   string
		probe  DNS
		target func(t *testing.T) netip.AddrPort
		want   string
	}{
		{"nobody there", DNS{}, unused, "connection refused"},
		{"nobody there over TCP", DNS{TCP: true}, unused, "connection refused"},
		{"silent", DNS{}, func(t *testing.T) netip.AddrPort { return dnsServer(t, silent) }, "timed out after 200ms"},
		{"silent over TCP", DNS{TCP: true}, func(t *testing.T) netip.AddrPort { return dnsServer(t, silent) }, "timed out after 200ms"},
		{"closes", DNS{TCP: true}, func(t *testing.T) netip.AddrPort {
			return serve(t, func(conn net.Conn) { _, _ = conn.Read(make([]byte, 100)) })
		}, "connection closed before a whole DNS answer"},
		{"closes within an answer", DNS{TCP: true}, func(t *testing.T) netip.AddrPort {
			return serve(t, func(conn net.Conn) {
				_, _ = conn.Read(make([]byte, 100))
				_, _ = conn.Write([]byte("\x01\x00answer"))
			})
		}, "connection closed before a whole DNS answer"},
		{"overlong over UDP", DNS{Type: "A", Answer: "192.0.2.1"}, func(t *testing.T) netip.AddrPort {
			return dnsServer(t, func(q dnsmessage.Message, _ bool) [][]byte {
				return [][]byte{append(packDNS(t, q, nil, dnsA1), make([]byte, 60000)...)}
			})
		}, ""},
		{"long over TCP", DNS{Type: "A", Answer: "192.0.2.2", TCP: true}, func(t *testing.T) netip.AddrPort {
			return dnsServer(t, func(q dnsmessage.Message, _ bool) [][]byte {
				records := make([]dnsmessage.ResourceBody, 1000)
				for i := range records {
					records[i] = dnsA1
				}
				return [][]byte{packDNS(t, q, nil, append(records, dnsA2)...)}
			})
		}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			spec := dnsSpec(test.target(t), test.probe)
			if strings.HasPrefix(test.want, "timed out") {
				spec.Timeout = 200 * time.Millisecond
			}
			wantError(t, check(t, spec), test.want)
		})
	}
}

// A probe that is called off ends at once, with no verdict.
func TestDNSCalledOff(t *testing.T) {
	noLeak(t)
	asked := make(chan struct{}, 1)
	target := dnsServer(t, func(q dnsmessage.Message, _ bool) [][]byte {
		asked <- struct{}{}
		return [][]byte{packDNS(t, q, func(m *dnsmessage.Message) { m.ID++ })}
	})
	c, err := New(dnsSpec(target, DNS{}))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	if _, err := c.Check(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}

func TestDNSValidate(t *testing.T) {
	long := strings.Repeat("a.", 126) + "a" // 253 letters
	for _, test := range []struct {
		probe DNS
		want  string
	}{
		{DNS{}, ""},
		{DNS{Name: ".", Type: "any", Rcode: " servfail, 3,RCODE15"}, ""},
		{DNS{Name: "_sip._udp.example.org", Type: "srv", Answer: "1 2 5060 sip.example.org."}, ""},
		{DNS{Name: long}, ""},
		{DNS{Name: long + "b"}, `name "` + long + `b" is no DNS name: labels of 1 to 63 letters between dots, 253 in all, or "."`},
		{DNS{Name: "a..b"}, `name "a..b" is no DNS name: labels of 1 to 63 letters between dots, 253 in all, or "."`},
		{DNS{Name: "a b"}, `name "a b" is no DNS name: labels of 1 to 63 letters between dots, 253 in all, or "."`},
		{DNS{Name: "bücher.example"}, `name "bücher.example" is no DNS name: labels of 1 to 63 letters between dots, 253 in all, or "."`},
		{DNS{Name: strings.Repeat("a", 64)}, `name "` + strings.Repeat("a", 64) + `" is no DNS name: labels of 1 to 63 letters between dots, 253 in all, or "."`},
		{DNS{Type: "AXFR"}, `type "AXFR" is no type of DNS records: a name such as "SOA" or "AAAA", or a number such as "TYPE65" or "65"`},
		{DNS{Type: "252"}, `type "252" is no type of DNS records: a name such as "SOA" or "AAAA", or a number such as "TYPE65" or "65"`},
		{DNS{Type: "65536"}, `type "65536" is no type of DNS records: a name such as "SOA" or "AAAA", or a number such as "TYPE65" or "65"`},
		{DNS{Rcode: "NOERROR,OK"}, `rcode "OK" is no code of DNS answers: such as "NOERROR", "NXDOMAIN" or "REFUSED", or 0 to 15`},
		{DNS{Rcode: "16"}, `rcode "16" is no code of DNS answers: such as "NOERROR", "NXDOMAIN" or "REFUSED", or 0 to 15`},
		{DNS{Type: "A", Answer: "2001:db8::1"}, `answer "2001:db8::1" is no IPv4 address`},
		{DNS{Type: "AAAA", Answer: "192.0.2.1"}, `answer "192.0.2.1" is no IPv6 address`},
		{DNS{Type: "AAAA", Answer: "2001:DB8:0::1"}, ""},
		{DNS{Type: "CAA", Answer: `\# 0`}, ""},
		{DNS{Type: "CAA", Answer: "0 issue ca"}, `answer "0 issue ca" of type CAA must be in the form of RFC 3597, such as "\# 4 0a000001": the length, and the bytes in hexadecimal`},
		{DNS{Type: "DS", Answer: `\# 2 00`}, `answer "\\# 2 00" of type DS must be in the form of RFC 3597, such as "\# 4 0a000001": the length, and the bytes in hexadecimal`},
		{DNS{Type: "TXT", Answer: "a\nb"}, `answer "a\nb" is not the data of a record as a zone file has it, such as "10 mx.example.org."`},
	} {
		err := test.probe.Validate()
		wantError(t, err, test.want)
		if _, failed := test.probe.checker(endpoint{}); (failed == nil) != (err == nil) && !strings.HasPrefix(test.want, "answer") {
			t.Errorf("%+v: error %v of Validate, but %v of the checker", test.probe, err, failed)
		}
	}
}
