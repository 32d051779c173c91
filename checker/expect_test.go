package checker

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// steps are the steps of lines as people write them.
func steps(t testing.TB, lines ...string) Steps {
	t.Helper()
	var list []Step
	for _, line := range lines {
		step, err := ParseStep(line)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, step)
	}
	joined, err := NewSteps(list...)
	if err != nil {
		t.Fatal(err)
	}
	return joined
}

func TestExpect(t *testing.T) {
	noLeak(t)
	tests := []struct {
		name   string
		steps  []string
		script []string
		want   string
	}{
		{"a greeting", []string{`match ^220`}, []string{"> 220 ready\r\n"}, ""},
		{"bytes", []string{`expect +OK`}, []string{"> +OK\r\n"}, ""},
		{"bytes within others", []string{`expect-hex 6f 6B`}, []string{"> it is ok now"}, ""},
		{"a conversation", []string{`match ^220 .*\n`, `send EHLO lb\r\n`, `match ^250[ ]`, `send QUIT\r\n`}, []string{"> 220 mx\r\n", "< EHLO lb\r\n", "> 250-mx\r\n250 ok\r\n", "< QUIT\r\n"}, ""},
		{"the rest of a line comes late", []string{`match ^220`, `send A\n`, `match ^250`}, []string{"> 220", "< A\n", "> mx\r\n250 ok\r\n"}, ""},
		{"two of one packet", []string{`expect a`, `expect b`}, []string{"> ab"}, ""},
		{"what is used up does not count again", []string{`expect a`, `expect a`}, []string{"> a"}, `step 2: connection closed, wanted "a"`},
		{"what came before a send does not count behind it", []string{`expect a`, `send x`, `expect b`}, []string{"> ab", "< x"}, `step 3: connection closed, wanted "b"`},
		{"the wrong answer", []string{`match ^220`}, []string{"> 421 too busy\r\n"}, `step 1: got "421 too busy", wanted /^220/ (connection closed)`},
		{"binary", []string{`send-hex 00ff`, `expect-hex ff00`}, []string{"< \x00\xff", "> \xff\x00"}, ""},
		{"wrong binary", []string{`expect-hex ff00`}, []string{"> \x01\xff"}, `step 1: got "??", wanted "\xff\x00" (connection closed)`},
		{"too much", []string{`expect y`}, []string{"> " + strings.Repeat("x", maxReceived+1), "silence"}, `step 1: got "` + strings.Repeat("x", maxQuoted) + `…", wanted "y" (not within 64 KiB)`},
		{"much", []string{`expect y`}, []string{"> " + strings.Repeat("x", maxReceived-1) + "y"}, ""},
		{"more than a packet in two steps", []string{`match x{999}y`, `expect z`}, []string{"> " + strings.Repeat("x", maxPacket) + "y", "> z"}, ""},
		{"much is wanted", []string{`expect ` + strings.Repeat("y", 1000)}, nil, `step 1: connection closed, wanted "` + strings.Repeat("y", maxQuoted-3) + `…"`},
		{"a long expression", []string{`match ` + strings.Repeat("y", 1000)}, nil, `step 1: connection closed, wanted /` + strings.Repeat("y", maxQuoted-3) + `…/`},
		{"starttls", []string{`expect ready\r\n`, `send STARTTLS\n`, `expect go\n`, `starttls`, `send A`, `expect B`}, []string{"> ready\r\n", "< STARTTLS\n", "> go\n", "tls", "< A", "> B"}, ""},
		{"starttls in the clear", []string{`send A`, `starttls`, `expect B`}, []string{"< A", "> no TLS at all here\r\n", "silence"}, `step 2: not TLS: "no TLS at all here"`},
		{"more before starttls", []string{`match ^220`, `starttls`, `expect B`}, []string{"> 220 ready\r\n", "silence"}, `step 2: got " ready" before TLS, beyond what the step before wants`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			probe := Expect{Network: "tcp", Steps: steps(t, test.steps...)}
			wantError(t, check(t, probeSpec(probe, serve(t, play(t, test.script...)), patience)), test.want)
		})
	}
	t.Run("tls", func(t *testing.T) {
		probe := Expect{Network: "tcp", Encryption: TLSFirst, Steps: steps(t, "send A", "expect B")}
		wantError(t, check(t, probeSpec(probe, serve(t, play(t, "tls", "< A", "> B")), patience)), "")
		wantError(t, check(t, probeSpec(probe, serve(t, play(t, "> in the clear\r\n", "silence")), patience)), `not TLS: "in the clear"`)
	})
	t.Run("refused", func(t *testing.T) {
		probe := Expect{Network: "tcp", Steps: steps(t, "expect B")}
		wantError(t, check(t, probeSpec(probe, unused(t), patience)), "connection refused")
	})
}

// bytewise is a connection on which bytes come one by one, for ever.
type bytewise struct{ net.Conn }

// Read reads a byte.
func (bytewise) Read(b []byte) (int, error) {
	b[0] = 'x'
	return 1, nil
}

// A server that sends byte by byte takes no processor of its own.
func TestExpectInPieces(t *testing.T) {
	run := &expectRun{conn: bytewise{}, buffer: make([]byte, maxPacket)}
	defer run.release()
	wantError(t, run.take(expectStep{Step: Step{StepExpect, "y"}}), "in too many pieces")
	if scanned := run.got * run.got / 2; scanned > 2*maxScanned {
		t.Errorf("%d bytes came, and each time all were looked at", run.got)
	}
}

func TestExpectTimeout(t *testing.T) {
	noLeak(t)
	tests := []struct {
		name   string
		steps  []string
		script []string
		want   string
	}{
		{"silence", []string{`match ^220`}, []string{"silence"}, `step 1: timed out after 200ms, wanted /^220/`},
		{"another answer", []string{`send A`, `match ^220`}, []string{"< A", "> 421 too busy\r\n", "silence"}, `step 2: got "421 too busy", wanted /^220/ (timed out after 200ms)`},
		{"handshake", []string{`starttls`, `expect B`}, []string{"silence"}, `step 1: timed out after 200ms`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			probe := Expect{Network: "tcp", Steps: steps(t, test.steps...)}
			wantError(t, check(t, probeSpec(probe, serve(t, play(t, test.script...)), 200*time.Millisecond)), test.want)
		})
	}
}

// serveUDP answers every packet by handle until the test ends.
func serveUDP(t *testing.T, handle func(packet []byte) [][]byte) netip.AddrPort {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
	go func() {
		defer close(done)
		buffer := make([]byte, 64<<10)
		for {
			n, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			for _, reply := range handle(buffer[:n]) {
				_, _ = conn.WriteTo(reply, from)
			}
		}
	}()
	return unmapped(conn.LocalAddr().(*net.UDPAddr).AddrPort())
}

// unusedUDP is an address of loopback where nobody receives.
func unusedUDP(t *testing.T) netip.AddrPort {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	return unmapped(conn.LocalAddr().(*net.UDPAddr).AddrPort())
}

func TestExpectUDP(t *testing.T) {
	noLeak(t)
	probe := Expect{Network: "udp", Steps: steps(t, "send ping", "expect pong")}
	good := serveUDP(t, func(packet []byte) [][]byte {
		if string(packet) != "ping" {
			return nil
		}
		return [][]byte{[]byte("other"), []byte("pong")}
	})
	wantError(t, check(t, probeSpec(probe, good, patience)), "")
	wrong := serveUDP(t, func([]byte) [][]byte { return [][]byte{[]byte("error")} })
	wantError(t, check(t, probeSpec(probe, wrong, 200*time.Millisecond)), `step 2: got "error", wanted "pong" (timed out after 200ms)`)
	wantError(t, check(t, probeSpec(probe, unusedUDP(t), patience)), `step 2: connection refused, wanted "pong"`)
	silent := serveUDP(t, func([]byte) [][]byte { return nil })
	wantError(t, check(t, probeSpec(probe, silent, 200*time.Millisecond)), `step 2: timed out after 200ms, wanted "pong"`)
}

func TestParseStep(t *testing.T) {
	tests := []struct {
		text string
		want Step
		err  string
	}{
		{`send a\r\n\t\0\\\x7F`, Step{StepSend, "a\r\n\t\x00\\\x7f"}, ""},
		{`send  a `, Step{StepSend, " a "}, ""},
		{`send-hex 0d 0A`, Step{StepSend, "\r\n"}, ""},
		{`expect +OK`, Step{StepExpect, "+OK"}, ""},
		{`expect-hex ff`, Step{StepExpect, "\xff"}, ""},
		{`match ^250[ -]\r`, Step{StepMatch, `^250[ -]\r`}, ""},
		{`starttls`, Step{Action: StepStartTLS}, ""},
		{`send`, Step{}, "send: there is nothing to send"},
		{`expect `, Step{}, "expect: there is nothing to expect"},
		{`match`, Step{}, "match: there is no regular expression"},
		{`match (`, Step{}, "match \"(\": error parsing regexp: missing closing ): `(?m)(`"},
		{`send a\`, Step{}, `send "a\\": a "\" at the end: "\\" is one`},
		{`send \q`, Step{}, `send "\\q": unknown escape "\q": \r \n \t \0 \xHH and \\ are known`},
		{`send \x4`, Step{}, `send "\\x4": unknown escape "\x": \r \n \t \0 \xHH and \\ are known`},
		{`send \xzz`, Step{}, `send "\\xzz": unknown escape "\x": \r \n \t \0 \xHH and \\ are known`},
		{`send-hex 0`, Step{}, `send-hex "0": two hexadecimal digits a byte are needed`},
		{`starttls now`, Step{}, `starttls "now": nothing may follow`},
		{`receive x`, Step{}, `step "receive" is not known: send, send-hex, expect, expect-hex, match or starttls`},
		{``, Step{}, `step "" is not known: send, send-hex, expect, expect-hex, match or starttls`},
		{`send ` + strings.Repeat("x", maxReceived+1), Step{}, `send of 65537 bytes: at most 65536`},
	}
	for _, test := range tests {
		got, err := ParseStep(test.text)
		wantError(t, err, test.err)
		if err == nil && got != test.want {
			t.Errorf("%q: %#v, want %#v", test.text, got, test.want)
		}
	}
}

func TestExpectValidate(t *testing.T) {
	good := steps(t, "send a", "expect b")
	tests := []struct {
		probe Expect
		want  string
	}{
		{Expect{Network: "tcp", Steps: good}, ""},
		{Expect{Network: "udp", Steps: good}, ""},
		{Expect{Network: "tcp", Encryption: TLSFirst, Steps: good}, ""},
		{Expect{Network: "sctp", Steps: good}, `network "sctp" is not possible: "tcp" or "udp"`},
		{Expect{Network: "udp", Encryption: TLSFirst, Steps: good}, `encryption "tls" is not possible over UDP`},
		{Expect{Network: "tcp"}, "steps are missing"},
		{Expect{Network: "tcp", TLS: TLSOptions{ServerName: "x"}, Steps: good}, "tls is given without encryption"},
		{Expect{Network: "tcp", TLS: TLSOptions{ServerName: "x"}, Steps: steps(t, "send b", "starttls", "expect c")}, ""},
		{Expect{Network: "udp", Steps: steps(t, "expect b")}, "steps: over UDP the first step is a send: nobody answers what was not asked"},
		{Expect{Network: "udp", Steps: steps(t, "send b")}, "steps: over UDP the last step is an expect or a match: a send alone proves nothing"},
		{Expect{Network: "udp", Steps: steps(t, "send b", "starttls", "expect a")}, "steps: step 2: starttls is not possible over UDP"},
		{Expect{Network: "tcp", Encryption: TLSFirst, Steps: steps(t, "send b", "starttls")}, "steps: step 2: starttls under TLS"},
		{Expect{Network: "tcp", Steps: steps(t, "starttls", "starttls")}, "steps: step 2: starttls under TLS"},
	}
	for _, test := range tests {
		wantError(t, test.probe.Validate(), test.want)
	}
	if _, err := NewSteps(Step{StepSend, "a"}, Step{StepMatch, "("}); err == nil || !strings.HasPrefix(err.Error(), `step 2: match "("`) {
		t.Errorf("error %v, want one of step 2", err)
	}
	if good == steps(t, "send a", "expect c") || good != steps(t, "send-hex 61", `expect \x62`) {
		t.Error("lists are not compared by their steps")
	}
}

// Whatever is sent and expected, the list comes out of its string again.
func FuzzSteps(f *testing.F) {
	f.Add("send", "a\r\n\x00\xff\"\\")
	f.Add("match", "^250[ -]")
	f.Fuzz(func(t *testing.T, action, data string) {
		list := []Step{{Action(action), data}, {Action: StepStartTLS}, {StepSend, "x\ny"}}
		joined, err := NewSteps(list...)
		if err != nil {
			return
		}
		if again := joined.List(); !slices.Equal(again, list) {
			t.Errorf("%#v, want %#v", again, list)
		}
	})
}

// FuzzParseStep looks for steps that cannot be written down.
func FuzzParseStep(f *testing.F) {
	for _, seed := range []string{`send a\r\n`, `send-hex 0d`, `expect \x`, `match ^a`, `starttls`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if step, err := ParseStep(text); err == nil {
			if _, err := NewSteps(step); err != nil {
				t.Errorf("%q: %v", text, err)
			}
		}
	})
}

// What never ends is given up soon after the probe is.
func TestExpectDribble(t *testing.T) {
	noLeak(t)
	target := serve(t, func(conn net.Conn) {
		var err error
		for err == nil {
			time.Sleep(10 * time.Millisecond)
			_, err = io.WriteString(conn, "x")
		}
	})
	err := check(t, probeSpec(Expect{Network: "tcp", Steps: steps(t, "expect y")}, target, 200*time.Millisecond))
	if err == nil || !strings.HasSuffix(err.Error(), `, wanted "y" (timed out after 200ms)`) {
		t.Errorf("error %v", err)
	}
}

func ExampleParseStep() {
	greeting, _ := ParseStep(`match ^220`)
	hello, _ := ParseStep(`send EHLO lb.example.org\r\n`)
	list, _ := NewSteps(greeting, hello)
	fmt.Println(list)
	// Output: match, send
}
