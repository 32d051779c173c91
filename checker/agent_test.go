package checker

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// agentSpec is an agent check of a target.
func agentSpec(target netip.AddrPort, timeout time.Duration) Spec {
	spec := tcpSpec(target, timeout)
	spec.Probe = Agent{}
	return spec
}

// says writes a text and closes the connection.
func says(text string) func(net.Conn) {
	return func(conn net.Conn) { _, _ = io.WriteString(conn, text) }
}

// saysAndWaits writes texts, with a pause between them, and keeps the
// connection until the client closes it.
func saysAndWaits(texts ...string) func(net.Conn) {
	return func(conn net.Conn) {
		for _, text := range texts {
			_, _ = io.WriteString(conn, text)
			time.Sleep(10 * time.Millisecond)
		}
		_, _ = io.Copy(io.Discard, conn)
	}
}

// probe makes one probe and returns all of its result.
func probe(t *testing.T, spec Spec) (Advice, error) {
	t.Helper()
	c, err := New(spec)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), spec.Timeout)
	defer cancel()
	return c.Check(ctx)
}

func TestAgent(t *testing.T) {
	noLeak(t)
	tests := []struct {
		name   string
		handle func(net.Conn)
		advice Advice
		want   string
	}{
		{"weight", saysAndWaits("75%\n"), Advice{Weight: Weight{Set: true, Value: 75, Percent: true}}, ""},
		{"weight without an end of line", says("75%"), Advice{Weight: Weight{Set: true, Value: 75, Percent: true}}, ""},
		{"CR alone", saysAndWaits("up 30\r"), Advice{Weight: Weight{Set: true, Value: 30}}, ""},
		{"in pieces", saysAndWaits("up dr", "ain", "\r\n"), Advice{Drain: true}, ""},
		{"new words", saysAndWaits("up backup:no\n"), Advice{}, ""},
		{"down", saysAndWaits("50% down # disk full\n"), Advice{}, "agent says down: disk full"},
		{"maintenance", saysAndWaits("maint\n"), Advice{}, "agent says maint"},
		{"more lines", saysAndWaits("up\ndown\n"), Advice{}, ""},
		{"nothing", says(""), Advice{}, "the agent says nothing"},
		{"an empty line", saysAndWaits("\r\n"), Advice{}, "the agent says nothing"},
		{"a description alone", saysAndWaits("# fine\n"), Advice{}, "the agent says nothing"},
		{"another protocol", saysAndWaits("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"), Advice{}, `not the answer of an agent: "SSH-2.0-OpenSSH_9.2p1 Debian-2"`},
		{"a web server that lost its patience", says("HTTP/1.0 408 Request Time-out\r\n"), Advice{}, `not the answer of an agent: "HTTP/1.0 408 Request Time-out"`},
		{"garbage", saysAndWaits("\x00\xff\x15\x03\n"), Advice{}, `not the answer of an agent: "????"`},
		{"overlong", saysAndWaits(strings.Repeat("up ", 1000)), Advice{}, "the agent's line is over 1 KiB"},
		{"a long line of garbage", saysAndWaits(strings.Repeat("y", 1000) + "\n"), Advice{}, `not the answer of an agent: "` + strings.Repeat("y", 80) + `…"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			advice, err := probe(t, agentSpec(serve(t, test.handle), patience))
			wantError(t, err, test.want)
			if diff := cmp.Diff(test.advice, advice); diff != "" {
				t.Errorf("advice (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("refused", func(t *testing.T) {
		wantError(t, check(t, agentSpec(unused(t), patience)), "connection refused")
	})
}

// What is to be sent comes before the answer.
func TestAgentSend(t *testing.T) {
	noLeak(t)
	spec := agentSpec(serve(t, func(conn net.Conn) {
		request := make([]byte, len("status web1\n"))
		if _, err := io.ReadFull(conn, request); err == nil && string(request) == "status web1\n" {
			says("drain\n")(conn)
		}
	}), patience)
	spec.Probe = Agent{Send: "status web1\n"}
	advice, err := probe(t, spec)
	wantError(t, err, "")
	if !advice.Drain {
		t.Errorf("advice %+v, want drain", advice)
	}
}

// The beginning of an answer is none: "5" might have been "50% down".
func TestAgentReset(t *testing.T) {
	noLeak(t)
	target := serve(t, func(conn net.Conn) {
		says("5")(conn)
		time.Sleep(50 * time.Millisecond)
		_ = conn.(*net.TCPConn).SetLinger(0)
	})
	wantError(t, check(t, agentSpec(target, patience)), syscall.ECONNRESET.Error())
}

// An agent that says nothing, or no end of it, ends with the timeout.
func TestAgentTimeout(t *testing.T) {
	noLeak(t)
	for _, text := range []string{"", "up"} {
		spec := agentSpec(serve(t, saysAndWaits(text)), 200*time.Millisecond)
		wantError(t, check(t, spec), "timed out after 200ms")
	}
}

// A probe that is called off has no verdict.
func TestAgentCalledOff(t *testing.T) {
	noLeak(t)
	c, err := New(agentSpec(serve(t, saysAndWaits("up")), patience))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := c.Check(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}

func TestAgentValidate(t *testing.T) {
	for send, want := range map[string]string{
		"":                        "",
		"status\r\n":              "",
		strings.Repeat("x", 1024): "",
		strings.Repeat("x", 1025): "send has 1025 bytes: 1024 at most",
	} {
		wantError(t, Agent{Send: send}.Validate(), want)
	}
	if kind := (Agent{}).Kind(); kind != "agent" {
		t.Errorf("kind %q", kind)
	}
}
