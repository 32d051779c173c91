package checker

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"encoding/binary"
	base16 "encoding/hex"
	"strings"
	"testing"
	"time"
)

// radiusAnswers signs a reply to a request.
func radiusAnswers(request []byte, code byte, secret string, authentic bool, message string) []byte {
	packet := append([]byte{code, request[1], 0, 0}, request[4:radiusHeader]...)
	at := 0
	if authentic {
		packet = append(packet, radiusAuthenticator, 18)
		at = len(packet)
		packet = append(packet, make([]byte, md5.Size)...)
	}
	if message != "" {
		packet = radiusAttribute(packet, radiusReplyMessage, []byte(message))
	}
	binary.BigEndian.PutUint16(packet[2:], uint16(len(packet)))
	if authentic {
		mac := hmac.New(md5.New, []byte(secret))
		mac.Write(packet)
		copy(packet[at:], mac.Sum(nil))
	}
	sum := md5.Sum(append(bytes.Clone(packet), secret...))
	copy(packet[4:], sum[:])
	return packet
}

// radiusAttributes are the attributes of a packet by type.
func radiusAttributes(t *testing.T, packet []byte) map[byte][]byte {
	t.Helper()
	if len(packet) != int(binary.BigEndian.Uint16(packet[2:])) {
		t.Fatalf("packet of %d bytes says %d", len(packet), binary.BigEndian.Uint16(packet[2:]))
	}
	found := map[byte][]byte{}
	for rest := packet[radiusHeader:]; len(rest) > 0; rest = rest[rest[1]:] {
		found[rest[0]] = rest[2:rest[1]]
	}
	return found
}

func TestRADIUS(t *testing.T) {
	noLeak(t)
	status := RADIUS{Secret: NewSecret("testing123")}
	login := RADIUS{Secret: NewSecret("testing123"), User: "monitor", Password: NewSecret("hunter2")}
	type reply = func(request []byte) [][]byte
	simple := func(code byte, message string) reply {
		return func(request []byte) [][]byte {
			return [][]byte{radiusAnswers(request, code, "testing123", true, message)}
		}
	}
	tests := []struct {
		name    string
		probe   RADIUS
		reply   reply
		timeout time.Duration
		want    string
	}{
		{"status", status, simple(radiusAccept, ""), patience, ""},
		{"status of accounting", status, simple(radiusAccounting, ""), patience, ""},
		{"login", login, simple(radiusAccept, "hello"), patience, ""},
		{"login at accounting", login, simple(radiusAccounting, ""), patience, "RADIUS code 5, wanted Access-Accept"},
		{"reject", login, simple(radiusReject, "no hunter2\r\n"), patience, `RADIUS Access-Reject "no ***", wanted Access-Accept`},
		{"challenge", login, simple(radiusChallenge, ""), patience, "RADIUS Access-Challenge, wanted Access-Accept"},
		{"without Message-Authenticator", login, func(request []byte) [][]byte {
			return [][]byte{radiusAnswers(request, radiusAccept, "testing123", false, "")}
		}, patience, ""},
		{"another secret", login, func(request []byte) [][]byte {
			return [][]byte{radiusAnswers(request, radiusAccept, "testing124", true, "")}
		}, 200 * time.Millisecond, "timed out after 200ms waiting for the RADIUS reply; a reply came that is not signed with the secret"},
		{"false Message-Authenticator", login, func(request []byte) [][]byte {
			packet := radiusAnswers(request, radiusAccept, "testing123", true, "")
			packet[radiusHeader+2] ^= 1
			copy(packet[4:], request[4:radiusHeader])
			sum := md5.Sum(append(bytes.Clone(packet), "testing123"...))
			copy(packet[4:], sum[:])
			return [][]byte{packet}
		}, 200 * time.Millisecond, "timed out after 200ms waiting for the RADIUS reply; a reply came that is not signed with the secret"},
		{"another request's", login, func(request []byte) [][]byte {
			packet := radiusAnswers(request, radiusAccept, "testing123", true, "")
			packet[1]++
			return [][]byte{packet}
		}, 200 * time.Millisecond, "timed out after 200ms waiting for the RADIUS reply; a reply came to another request"},
		{"garbage, then a reply", login, func(request []byte) [][]byte {
			return [][]byte{[]byte("x"), []byte(strings.Repeat("y", 30)), radiusAnswers(request, radiusAccept, "testing123", true, "")}
		}, patience, ""},
		{"silence", login, func([]byte) [][]byte { return nil }, 200 * time.Millisecond, "timed out after 200ms waiting for the RADIUS reply"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			wantError(t, check(t, probeSpec(test.probe, serveUDP(t, test.reply), test.timeout)), test.want)
		})
	}
	wantError(t, check(t, probeSpec(login, unusedUDP(t), patience)), "connection refused")
}

// What is in a request, and that its Message-Authenticator signs it.
func TestRADIUSRequest(t *testing.T) {
	for _, test := range []struct {
		probe RADIUS
		code  byte
	}{
		{RADIUS{Secret: NewSecret("s"), User: "u", Password: NewSecret("p")}, radiusRequest},
		{RADIUS{Secret: NewSecret("s")}, radiusStatus},
	} {
		packet := test.probe.request()
		attributes := radiusAttributes(t, packet)
		if packet[0] != test.code || string(attributes[radiusNASIdentifier]) != "bascule" || string(attributes[radiusUserName]) != test.probe.User {
			t.Errorf("code %d, attributes %q", packet[0], attributes)
		}
		if !radiusAuthentic(packet, bytes.Index(packet, attributes[radiusAuthenticator]), attributes[radiusAuthenticator], "s") {
			t.Error("the Message-Authenticator is wrong")
		}
		if bytes.Equal(packet[4:20], test.probe.request()[4:20]) {
			t.Error("two requests have the same authenticator")
		}
	}
}

// The example of RFC 2865, section 7.1, and passwords of all lengths.
func TestHidePassword(t *testing.T) {
	authenticator, err := base16.DecodeString("0f403f9473978057bd83d5cb98f4227a")
	if err != nil {
		t.Fatal(err)
	}
	const want = "0dbe708d93d413ce3196e43f782a0aee"
	if got := base16.EncodeToString(hidePassword(NewSecret("arctangent"), NewSecret("xyzzy5461"), authenticator)); got != want {
		t.Errorf("hidden %s, want %s", got, want)
	}
	for length, want := range map[int]int{0: 16, 1: 16, 16: 16, 17: 32, 32: 32, 128: 128} {
		if got := len(hidePassword(NewSecret(strings.Repeat("x", length)), NewSecret("s"), authenticator)); got != want {
			t.Errorf("password of %d bytes is hidden in %d, want %d", length, got, want)
		}
	}
}

// The reply of the example of RFC 2865, section 7.1.
func TestRADIUSExample(t *testing.T) {
	request := make([]byte, radiusHeader)
	if _, err := base16.Decode(request[4:], []byte("0f403f9473978057bd83d5cb98f4227a")); err != nil {
		t.Fatal(err)
	}
	reply, err := base16.DecodeString("0200002686fe220e7624ba2a1005f6bf9b55e0b20606000000010f06000000000e06c0a80103")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := parseRADIUS(reply, request, "xyzzy5461"); err != nil || got.code != radiusAccept {
		t.Errorf("reply %+v, error %v", got, err)
	}
	if _, err := parseRADIUS(reply, request, "xyzzy5462"); err == nil {
		t.Error("another secret verifies the reply")
	}
}

// FuzzRADIUS reads packets of any kind; those that are signed, too.
func FuzzRADIUS(f *testing.F) {
	request := RADIUS{Secret: NewSecret("s")}.request()
	f.Add(radiusAnswers(request, radiusAccept, "s", true, "x"), true)
	f.Add([]byte{2, 0, 0, 22, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 18, 1}, true)
	f.Fuzz(func(t *testing.T, packet []byte, sign bool) {
		packet = bytes.Clone(packet)
		if sign && len(packet) >= radiusHeader {
			packet[1] = request[1]
			binary.BigEndian.PutUint16(packet[2:], uint16(len(packet)))
			copy(packet[4:], request[4:radiusHeader])
			sum := md5.Sum(append(bytes.Clone(packet), 's'))
			copy(packet[4:], sum[:])
		}
		reply, err := parseRADIUS(packet, request, "s")
		if err == nil && len(packet) < radiusHeader {
			t.Errorf("reply %+v of %d bytes", reply, len(packet))
		}
		if verdict := (RADIUS{}).judge(reply); verdict != nil {
			wantReadable(t, verdict)
		}
	})
}
