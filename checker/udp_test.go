package checker

import (
	"context"
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// udpServer answers datagrams on loopback until the test ends; a nil answer
// is silence.
func udpServer(t *testing.T, answer func(payload []byte) []byte) netip.AddrPort {
	t.Helper()
	return serveUDP(t, func(payload []byte) [][]byte {
		if reply := answer(payload); reply != nil {
			return [][]byte{reply}
		}
		return nil
	})
}

func TestUDP(t *testing.T) {
	noLeak(t)
	says := func(reply string) func([]byte) []byte {
		return func([]byte) []byte { return []byte(reply) }
	}
	silent := func([]byte) []byte { return nil }
	for _, test := range []struct {
		name   string
		probe  UDP
		answer func(payload []byte) []byte // nil: nobody listens
		want   string
	}{
		{"nobody listens", UDP{}, nil, "connection refused"},
		{"nobody listens, reply required", UDP{Require: true}, nil, "connection refused"},
		{"silent", UDP{}, silent, ""},
		{"silent, reply required", UDP{Require: true}, silent, "timed out after 200ms"},
		{"anything", UDP{}, says("hello"), ""},
		{"anything, reply required", UDP{Require: true}, says("hello"), ""},
		{"nothing in it, reply required", UDP{Require: true}, says(""), ""},
		{"nothing in it, but something wanted", UDP{Require: true, Reply: "68"}, says(""), "UDP reply without data, wanted 68"},
		{"as expected", UDP{Require: true, Reply: "68656C6c6f"}, says("hello"), ""},
		{"begins as expected", UDP{Require: true, Reply: "68 65"}, says("hello"), ""},
		{"any digits", UDP{Require: true, Reply: "68xx6cX" + "c6x"}, says("hello"), ""},
		{"one digit is wrong", UDP{Require: true, Reply: "68xx7x"}, says("hello"), "UDP reply 68656c6c6f, wanted 68xx7x"},
		{"shorter than expected", UDP{Require: true, Reply: "68xxxx"}, says("he"), "UDP reply 6865, wanted 68xxxx"},
		{"too short", UDP{Require: true, MinReply: 6}, says("hello"), "UDP reply of 5 bytes, wanted 6 or more"},
		{"too short of a range", UDP{Require: true, MinReply: 6, MaxReply: 9}, says("hello"), "UDP reply of 5 bytes, wanted 6 to 9"},
		{"too long", UDP{Require: true, MaxReply: 4}, says("hello"), "UDP reply of more than 4 bytes, wanted 0 to 4"},
		{"limits", UDP{Require: true, MinReply: 5, MaxReply: 5}, says("hello"), ""},
		{"large", UDP{Require: true, MinReply: 60000, MaxReply: 60000}, says(strings.Repeat("x", 60000)), ""},
		{"overlong", UDP{Require: true, Reply: "00"}, says(strings.Repeat("\x01", 60000)), "UDP reply " + strings.Repeat("01", 40) + "…, wanted 00"},
		{"payload", UDP{Payload: "\x00ping", Require: true, Reply: hex.EncodeToString([]byte("\x00ping"))},
			func(payload []byte) []byte { return payload }, ""},
		{"empty payload", UDP{Require: true, MaxReply: 1}, func(payload []byte) []byte { return append(payload, '.') }, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			target := unused(t)
			if test.answer != nil {
				target = udpServer(t, test.answer)
			}
			spec := Spec{Probe: test.probe, Target: target, Interval: time.Minute, Timeout: patience, Rise: 1, Fall: 1}
			if strings.HasPrefix(test.name, "silent") {
				spec.Timeout = 200 * time.Millisecond
			}
			begin := time.Now()
			wantError(t, check(t, spec), test.want)
			if took := time.Since(begin); strings.HasPrefix(test.name, "silent") && took < spec.Timeout {
				t.Errorf("took %s, want the whole timeout", took)
			}
		})
	}
}

// Silence is no verdict if the probe was called off.
func TestUDPCalledOff(t *testing.T) {
	noLeak(t)
	for _, require := range []bool{false, true} {
		ctx, cancel := context.WithCancel(t.Context())
		target := udpServer(t, func([]byte) []byte {
			cancel()
			return nil
		})
		c, err := New(Spec{Probe: UDP{Require: require}, Target: target, Interval: time.Minute, Timeout: patience, Rise: 1, Fall: 1})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Check(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want %v", err, context.Canceled)
		}
	}
}

func TestUDPValidate(t *testing.T) {
	for _, test := range []struct {
		probe UDP
		want  string
	}{
		{UDP{}, ""},
		{UDP{Payload: strings.Repeat("x", maxUDP), Require: true, Reply: "0x Xf", MinReply: 1, MaxReply: maxUDP}, ""},
		{UDP{Payload: strings.Repeat("x", maxUDP+1)}, "payload of 65508 bytes is too long: at most 65507"},
		{UDP{Require: true, MinReply: -1}, "min_reply -1 is no length of a reply: 0 to 65507"},
		{UDP{Require: true, MaxReply: 70000}, "max_reply 70000 is no length of a reply: 0 (any) to 65507"},
		{UDP{Require: true, MinReply: 3, MaxReply: 2}, "min_reply 3 is more than max_reply 2"},
		{UDP{Require: true, Reply: "6"}, `reply "6" is no pattern: two hexadecimal digits for each byte, or "x" in place of any digit`},
		{UDP{Require: true, Reply: "hello!"}, `reply "hello!" is no pattern: two hexadecimal digits for each byte, or "x" in place of any digit`},
		{UDP{Require: true, Reply: "xxxx", MaxReply: 1}, "reply of 2 bytes is longer than max_reply 1"},
		{UDP{Reply: "xx"}, "reply, min_reply and max_reply have no effect unless a reply is required"},
		{UDP{MinReply: 1}, "reply, min_reply and max_reply have no effect unless a reply is required"},
	} {
		wantError(t, test.probe.Validate(), test.want)
	}
}

// A pattern matches what it was made from, and no more than it says.
func FuzzUDPPattern(f *testing.F) {
	f.Add("68 6x", []byte("hello"))
	f.Add("", []byte{})
	f.Add("xX", []byte{0})
	f.Fuzz(func(t *testing.T, text string, reply []byte) {
		p, err := parseUDPPattern(text)
		if err != nil {
			return
		}
		digits := strings.ToLower(strings.ReplaceAll(text, " ", ""))
		got := hex.EncodeToString(reply)
		want := len(digits) <= len(got)
		for i := 0; want && i < len(digits); i++ {
			want = digits[i] == 'x' || digits[i] == got[i]
		}
		if p.matches(reply) != want {
			t.Errorf("%q matches %s: %t, want %t", text, got, !want, want)
		}
	})
}
