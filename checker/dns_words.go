package checker

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// dnsTypes are the names of types of records (IANA, "DNS Parameters").
var dnsTypes = map[string]dnsmessage.Type{
	"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "HINFO": 13, "MX": 15, "TXT": 16, "RP": 17, "AFSDB": 18,
	"AAAA": 28, "LOC": 29, "SRV": 33, "NAPTR": 35, "CERT": 37, "DNAME": 39, "DS": 43, "SSHFP": 44, "RRSIG": 46,
	"NSEC": 47, "DNSKEY": 48, "NSEC3": 50, "NSEC3PARAM": 51, "TLSA": 52, "SMIMEA": 53, "CDS": 59, "CDNSKEY": 60,
	"OPENPGPKEY": 61, "SVCB": 64, "HTTPS": 65, "SPF": 99, "ANY": 255, "URI": 256, "CAA": 257,
}

// dnsType reads the type of a question.
func dnsType(text string) (dnsmessage.Type, error) {
	if text == "" {
		return dnsmessage.TypeSOA, nil
	}
	upper := strings.ToUpper(text)
	if kind, known := dnsTypes[upper]; known {
		return kind, nil
	}
	const axfr, ixfr, opt = 252, 251, 41 // not questions with one answer
	number, err := strconv.ParseUint(strings.TrimPrefix(upper, "TYPE"), 10, 16)
	if err != nil || number == 0 || number == axfr || number == ixfr || number == opt {
		return 0, fmt.Errorf("type %q is no type of DNS records: a name such as \"SOA\" or \"AAAA\", or a number such as \"TYPE65\" or \"65\"", text)
	}
	return dnsmessage.Type(number), nil
}

// dnsRcodeNames are the codes of answers (RFC 1035, section 4.1.1; RFC 2136).
var dnsRcodeNames = [16]string{
	"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH", "NOTZONE",
}

// dnsRcodeName is the name of a code, or "RCODE12".
func dnsRcodeName(code dnsmessage.RCode) string {
	if int(code) < len(dnsRcodeNames) && dnsRcodeNames[code] != "" {
		return dnsRcodeNames[code]
	}
	return fmt.Sprintf("RCODE%d", code)
}

// dnsRcodeSet is a set of codes, a bit for each.
type dnsRcodeSet uint16

// has says whether a code is in the set.
func (s dnsRcodeSet) has(code dnsmessage.RCode) bool { return code < 16 && s&(1<<code) != 0 }

// String lists the names of the codes.
func (s dnsRcodeSet) String() string {
	var names []string
	for code := range dnsmessage.RCode(16) {
		if s.has(code) {
			names = append(names, dnsRcodeName(code))
		}
	}
	return strings.Join(names, ",")
}

// dnsRcodes reads a list of codes.
func dnsRcodes(list string) (dnsRcodeSet, error) {
	if list == "" {
		return 1 << dnsmessage.RCodeSuccess, nil
	}
	var set dnsRcodeSet
	for part := range strings.SplitSeq(list, ",") {
		code, known := dnsRcode(strings.ToUpper(strings.TrimSpace(part)))
		if !known {
			return 0, fmt.Errorf("rcode %q is no code of DNS answers: such as \"NOERROR\", \"NXDOMAIN\" or \"REFUSED\", or 0 to 15", part)
		}
		set |= 1 << code
	}
	return set, nil
}

// dnsRcode reads one code: its name or its number.
func dnsRcode(text string) (code dnsmessage.RCode, known bool) {
	for code, name := range dnsRcodeNames {
		if name == text && name != "" {
			return dnsmessage.RCode(code), true
		}
	}
	number, err := strconv.ParseUint(strings.TrimPrefix(text, "RCODE"), 10, 4)
	return dnsmessage.RCode(number), err == nil
}

// dnsName reads a name, with or without the final dot.
func dnsName(text string) (dnsmessage.Name, error) {
	full := strings.TrimSuffix(text, ".") + "."
	bad := strings.ContainsFunc(text, unprintable) || strings.ContainsAny(text, `\"`) || len(full) > 254
	for label := range strings.SplitSeq(strings.TrimSuffix(full, "."), ".") {
		bad = bad || len(label) > 63 || label == "" && full != "."
	}
	if bad {
		return dnsmessage.Name{}, fmt.Errorf(
			"name %q is no DNS name: labels of 1 to 63 letters between dots, 253 in all, or \".\"", text)
	}
	return dnsmessage.NewName(full)
}
