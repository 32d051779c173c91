package checker

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// dnsReply is what an answer says.
type dnsReply struct {
	rcode     dnsmessage.RCode
	truncated bool
	found     bool   // one of its records has the expected data
	other     string // the data of the first record, if none has
}

// read reads an answer, unless it is to another question than the one with an
// id. A server that does not understand the question may leave it out. What
// cannot be read of the records of an answer is not there.
func (c *dnsChecker) read(message []byte, id uint16) (reply dnsReply, ours bool) {
	var p dnsmessage.Parser
	header, err := p.Start(message)
	if err != nil || header.ID != id || !header.Response || header.OpCode != 0 {
		return dnsReply{}, false
	}
	question, err := p.Question()
	switch {
	case err == nil:
		if !strings.EqualFold(question.Name.String(), c.question.Name.String()) ||
			question.Type != c.question.Type || question.Class != c.question.Class {
			return dnsReply{}, false
		}
	case err != dnsmessage.ErrSectionDone || header.RCode == dnsmessage.RCodeSuccess: //nolint:errorlint // it is never wrapped
		return dnsReply{}, false
	}
	if p.SkipAllQuestions() != nil {
		return dnsReply{}, false
	}
	reply = dnsReply{rcode: header.RCode, truncated: header.Truncated}
	if c.answer != "" {
		c.readRecords(&p, &reply)
	}
	return reply, true
}

// readRecords looks for the expected data in the records of an answer.
func (c *dnsChecker) readRecords(p *dnsmessage.Parser, reply *dnsReply) {
	for {
		header, err := p.AnswerHeader()
		if err != nil {
			return
		}
		data, err := dnsData(p, header)
		if err != nil {
			return
		}
		for _, form := range data {
			if form == c.answer || header.Type != dnsmessage.TypeTXT && strings.EqualFold(form, c.answer) {
				reply.found = true
				return
			}
		}
		if reply.other == "" {
			reply.other = data[0]
		}
	}
}

// dnsData reads the data of a record in presentation form (RFC 1035, section
// 5.1), that of unknown types as RFC 3597, section 5, has it. The forms after
// the first one are other ways to write the same.
func dnsData(p *dnsmessage.Parser, header dnsmessage.ResourceHeader) ([]string, error) {
	switch header.Type {
	case dnsmessage.TypeA:
		r, err := p.AResource()
		return []string{netip.AddrFrom4(r.A).String()}, err
	case dnsmessage.TypeAAAA:
		r, err := p.AAAAResource()
		return []string{netip.AddrFrom16(r.AAAA).String()}, err
	case dnsmessage.TypeNS:
		r, err := p.NSResource()
		return dnsNames("", r.NS), err
	case dnsmessage.TypeCNAME:
		r, err := p.CNAMEResource()
		return dnsNames("", r.CNAME), err
	case dnsmessage.TypePTR:
		r, err := p.PTRResource()
		return dnsNames("", r.PTR), err
	case dnsmessage.TypeMX:
		r, err := p.MXResource()
		return dnsNames(fmt.Sprintf("%d ", r.Pref), r.MX), err
	case dnsmessage.TypeSRV:
		r, err := p.SRVResource()
		return dnsNames(fmt.Sprintf("%d %d %d ", r.Priority, r.Weight, r.Port), r.Target), err
	case dnsmessage.TypeSOA:
		r, err := p.SOAResource()
		return []string{fmt.Sprintf("%s %s %d %d %d %d %d", r.NS, r.MBox, r.Serial, r.Refresh, r.Retry, r.Expire, r.MinTTL)}, err
	case dnsmessage.TypeTXT:
		r, err := p.TXTResource()
		return dnsStrings(r.TXT), err
	}
	r, err := p.UnknownResource()
	return []string{dnsUnknown(r.Data)}, err
}

// dnsNames is data that ends in a name, with and without the final dot.
func dnsNames(before string, name dnsmessage.Name) []string {
	full := before + name.String()
	return []string{full, strings.TrimSuffix(full, ".")}
}

// dnsStrings is data of strings: each in quotes, and all as one text.
func dnsStrings(list []string) []string {
	quoted := make([]string, len(list))
	for i, text := range list {
		var b strings.Builder
		for _, c := range []byte(text) {
			switch {
			case c == '"' || c == '\\':
				b.WriteByte('\\')
				b.WriteByte(c)
			case c < ' ' || c > '~':
				fmt.Fprintf(&b, "\\%03d", c)
			default:
				b.WriteByte(c)
			}
		}
		quoted[i] = `"` + b.String() + `"`
	}
	return []string{strings.Join(quoted, " "), strings.Join(list, "")}
}

// dnsUnknown is data of a type without a form of its own.
func dnsUnknown(data []byte) string {
	if len(data) == 0 {
		return `\# 0`
	}
	return fmt.Sprintf(`\# %d %x`, len(data), data)
}

// dnsHasForm is whether the data of a type has a form of its own here.
func dnsHasForm(kind dnsmessage.Type) bool {
	switch kind {
	case dnsmessage.TypeA, dnsmessage.TypeAAAA, dnsmessage.TypeNS, dnsmessage.TypeCNAME, dnsmessage.TypePTR,
		dnsmessage.TypeMX, dnsmessage.TypeSRV, dnsmessage.TypeSOA, dnsmessage.TypeTXT, dnsmessage.TypeALL:
		return true
	}
	return false
}

// dnsGeneric is data in the form of RFC 3597, as dnsUnknown writes it; "" if
// it is in another.
func dnsGeneric(answer string) string {
	words := strings.Fields(answer)
	if len(words) < 2 || words[0] != `\#` {
		return ""
	}
	data, err := hex.DecodeString(strings.Join(words[2:], ""))
	if err != nil || strconv.Itoa(len(data)) != words[1] {
		return ""
	}
	return dnsUnknown(data)
}

// dnsCanonical is an expected answer to a question for a type in the form that
// data is compared in.
func dnsCanonical(answer string, kind dnsmessage.Type) string {
	addr, err := netip.ParseAddr(answer)
	generic := dnsGeneric(answer)
	switch {
	case kind == dnsmessage.TypeTXT: // in which every letter counts
		return answer
	case err == nil:
		return addr.String()
	case generic != "":
		return generic
	}
	return answer
}
