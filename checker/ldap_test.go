package checker

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// ldapDone is a result under a tag.
func ldapDone(tag, code byte, diagnostic string) []byte {
	return berElement(tag, berSmall(berEnumerated, code), berText(berBytes, ""), berText(berBytes, diagnostic))
}

// ldapSays is a reply to a request, for a script.
func ldapSays(id byte, operation []byte) string { return "> " + string(ldapMessage(id, operation)) }

// What a probe sends, octet by octet.
const (
	ldapAnonymous = "< 0\x0c\x02\x01\x02\x60\x07\x02\x01\x03\x04\x00\x80\x00"
	ldapSimple    = "< 0\x12\x02\x01\x02\x60\x0d\x02\x01\x03\x04\x04cn=u\x80\x02pw"
	ldapBase      = "< 0\x2e\x02\x01\x03\x63\x29\x04\x04dc=x\x0a\x01\x00\x0a\x01\x00\x02\x01\x01\x02\x01\x00\x01\x01\x00\x87\x0bobjectClass0\x05\x04\x031.1"
	ldapTLS       = "< 0\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037"
	ldapGoodbye   = "< 0\x05\x02\x01\x04\x42\x00"
)

func TestLDAP(t *testing.T) {
	noLeak(t)
	bound := ldapSays(ldapBindID, ldapDone(ldapBindResponse, 0, ""))
	// As Active Directory writes it: every length in four bytes.
	long := "> 0\x84\x00\x00\x00\x10\x02\x01\x02\x61\x84\x00\x00\x00\x07\x0a\x01\x00\x04\x00\x04\x00"
	entry := ldapSays(ldapSearchID, berElement(ldapSearchEntry, berText(berBytes, "dc=x"), berElement(berSequence)))
	reference := ldapSays(ldapSearchID, berElement(ldapSearchReference, berText(berBytes, "ldap://x")))
	found := ldapSays(ldapSearchID, ldapDone(ldapSearchDone, 0, ""))
	disconnected := ldapSays(0, berElement(ldapExtendedResponse, berSmall(berEnumerated, 52), berText(berBytes, ""), berText(berBytes, "shutting down"), berText(0x8a, "1.3.6.1.4.1.1466.20036")))
	tests := []struct {
		name   string
		probe  LDAP
		script []string
		want   string
	}{
		{"anonymous", LDAP{}, []string{ldapAnonymous, bound, ldapGoodbye}, ""},
		{"long lengths", LDAP{}, []string{ldapAnonymous, long, ldapGoodbye}, ""},
		{"simple", LDAP{User: "cn=u", Password: NewSecret("pw")}, []string{ldapSimple, bound, ldapGoodbye}, ""},
		{"wrong", LDAP{User: "cn=u", Password: NewSecret("pw")}, []string{ldapSimple, ldapSays(ldapBindID, ldapDone(ldapBindResponse, 49, "")), ldapGoodbye}, "LDAP invalid credentials (49) after bind"},
		{"diagnostic", LDAP{}, []string{ldapAnonymous, ldapSays(ldapBindID, ldapDone(ldapBindResponse, 48, "anonymous bind disallowed")), ldapGoodbye}, "LDAP inappropriate authentication (48) after bind: anonymous bind disallowed"},
		{"unknown code", LDAP{}, []string{ldapAnonymous, ldapSays(ldapBindID, ldapDone(ldapBindResponse, 99, "")), ldapGoodbye}, "LDAP result 99 after bind"},
		{"disconnected", LDAP{}, []string{ldapAnonymous, disconnected}, "LDAP unavailable (52) after nothing: shutting down"},
		{"another request", LDAP{}, []string{ldapAnonymous, ldapSays(7, ldapDone(ldapBindResponse, 0, "")), ldapGoodbye}, "LDAP reply to request 7, wanted 2"},
		{"another operation", LDAP{}, []string{ldapAnonymous, ldapSays(ldapBindID, ldapDone(ldapSearchDone, 0, "")), ldapGoodbye}, "not LDAP: operation 0x65 in reply to bind"},
		{"damaged result", LDAP{}, []string{ldapAnonymous, ldapSays(ldapBindID, berText(ldapBindResponse, "x")), ldapGoodbye}, "not LDAP: result of bind damaged"},
		{"damaged message", LDAP{}, []string{ldapAnonymous, "> 0\x03\x04\x01x", ldapGoodbye}, `not LDAP: "??x"`},
		{"indefinite", LDAP{}, []string{ldapAnonymous, "> 0\x80ab", ldapGoodbye}, `not LDAP: "0?ab"`},
		{"too long", LDAP{}, []string{ldapAnonymous, "> 0\x83\x7f\xff\xff", ldapGoodbye}, "LDAP packet of 8388607 bytes, more than 64 KiB"},
		{"closed", LDAP{}, []string{ldapAnonymous}, "connection closed before the LDAP reply to bind"},
		{"closed within a message", LDAP{}, []string{ldapAnonymous, "> 0\x0c\x02"}, "connection closed before the LDAP reply to bind"},
		{"entry", LDAP{Base: "dc=x"}, []string{ldapAnonymous, bound, ldapBase, entry, found, ldapGoodbye}, ""},
		{"no entry", LDAP{Base: "dc=x"}, []string{ldapAnonymous, bound, ldapBase, reference, found, ldapGoodbye}, `LDAP has no entry "dc=x"`},
		{"no base", LDAP{Base: "dc=x"}, []string{ldapAnonymous, bound, ldapBase, ldapSays(ldapSearchID, ldapDone(ldapSearchDone, 32, "")), ldapGoodbye}, "LDAP no such object (32) after search"},
		{"strange search", LDAP{Base: "dc=x"}, []string{ldapAnonymous, bound, ldapBase, ldapSays(ldapSearchID, ldapDone(ldapBindResponse, 0, "")), ldapGoodbye}, "not LDAP: operation 0x61 in reply to the search"},
		{"starttls", LDAP{Encryption: StartTLS}, []string{ldapTLS, ldapSays(ldapStartTLSID, ldapDone(ldapExtendedResponse, 0, "")), "tls", ldapAnonymous, bound, ldapGoodbye}, ""},
		{"no starttls", LDAP{Encryption: StartTLS}, []string{ldapTLS, ldapSays(ldapStartTLSID, ldapDone(ldapExtendedResponse, 2, "unsupported")), ldapGoodbye}, "LDAP protocol error (2) after StartTLS: unsupported"},
		{"ldaps", LDAP{Encryption: TLSFirst}, []string{"tls", ldapAnonymous, bound, ldapGoodbye}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			wantError(t, check(t, probeSpec(test.probe, serve(t, play(t, test.script...)), patience)), test.want)
		})
	}
}

// A search whose answers never end is given up.
func TestLDAPEndless(t *testing.T) {
	noLeak(t)
	entry := string(ldapMessage(ldapSearchID, berElement(ldapSearchEntry)))
	target := serve(t, func(conn net.Conn) {
		_ = conn.SetDeadline(time.Now().Add(patience))
		_, _ = io.WriteString(conn, string(ldapMessage(ldapBindID, ldapDone(ldapBindResponse, 0, "")))+strings.Repeat(entry, 2*maxLines))
		_ = conn.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, conn)
	})
	wantError(t, check(t, probeSpec(LDAP{Base: "dc=x"}, target, patience)), "LDAP reply to the search of more than 200 messages")
}

// A distinguished name may be longer than a short length can say.
func TestBERLongForm(t *testing.T) {
	text := strings.Repeat("x", 300)
	w := wire{rest: berText(berBytes, text)}
	if tag, data := w.element(); w.err != nil || tag != berBytes || string(data) != text || len(w.rest) != 0 {
		t.Errorf("tag %#x, %d bytes, error %v", tag, len(data), w.err)
	}
}

// FuzzBER takes elements apart: what comes out was in there.
func FuzzBER(f *testing.F) {
	f.Add(ldapMessage(1, ldapDone(ldapBindResponse, 0, "x")))
	f.Add([]byte{0x30, 0x84, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		w := wire{rest: data}
		for len(w.rest) > 0 && w.err == nil {
			before := len(w.rest)
			if _, contents := w.element(); w.err == nil && len(contents)+2 > before-len(w.rest) {
				t.Errorf("%d bytes out of %d", len(contents), before-len(w.rest))
			}
		}
		number := wire{rest: data}
		number.number(berInteger)
	})
}
