//go:build servers

package servers

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bascule/checker"
)

// agentCase is what an agent says, and what comes of it.
type agentCase struct {
	says   string
	reason string // of the check; a pattern
	weight int    // of 40
	drain  bool
	differ string // why HAProxy comes to something else; "": it does not
}

// agentCases are for the check and for HAProxy.
var agentCases = []agentCase{
	{says: "up", weight: 40},
	{says: "ready", weight: 40},
	{says: "up ready 50%", weight: 20},
	{says: "75%", weight: 30},
	{says: "100%", weight: 40},
	{says: "maxconn:30", weight: 40},
	{says: "up,75%", weight: 30},
	{says: "drain", drain: true, weight: 40},
	{says: "ready drain", drain: true, weight: 40},
	{says: "maint", reason: ".*maint.*"},
	{says: "down #no disk", reason: ".*no disk.*"},
	{says: "down#no disk", reason: ".*no disk.*", differ: "it takes the sharp for a part of an unknown word, which says nothing"},
	{says: "fail", reason: ".*fail.*"},
	{says: "stopped", reason: ".*stopped.*"},
	{says: "0%", weight: 0},
	{says: "20", weight: 20, differ: "it knows no absolute weights"},
}

// haproxyState is how HAProxy sees a server.
type haproxyState struct {
	up, maintenance, drain bool
	weight                 string
}

// TestAgent lets HAProxy and a check hear the same agents. There is no agent
// in Debian: it is HAProxy whose reading counts.
func TestAgent(t *testing.T) {
	t.Parallel()
	dir, web := workspace(t, nobody), newPort()
	config := "global\n\tstats socket " + dir + "/socket mode 666\n" +
		"defaults\n\tmode http\n\ttimeout connect 5s\n\ttimeout client 1s\n\ttimeout server 5s\n" +
		fmt.Sprintf("frontend web\n\tbind 127.0.0.1:%d\n\tdefault_backend none\nbackend none\n", web) +
		"backend all\n"
	ports := make([]uint16, len(agentCases))
	for i, c := range agentCases {
		ports[i] = agent(t, c.says+"\n")
		config += fmt.Sprintf("\tserver s%d 127.0.0.1:%d weight 40 agent-check agent-port %d agent-inter 100ms\n", i, web, ports[i])
	}
	s := start(t, nobody, dir, "haproxy", "-db", "-f", write(t, dir, "haproxy.cfg", config)).listens(web)
	for i, c := range agentCases {
		t.Run(c.says, func(t *testing.T) {
			advice, err := probe(t, ports[i], checker.Agent{}, patience)
			wantReason(t, err, "~"+c.reason)
			if err == nil && (advice.Of(40) != c.weight || advice.Drain != c.drain) {
				t.Errorf("weight %d, drain %t, wanted %d, %t", advice.Of(40), advice.Drain, c.weight, c.drain)
			}
			if c.differ != "" {
				return
			}
			want := haproxyState{up: err == nil, maintenance: c.says == "maint", drain: advice.Drain, weight: fmt.Sprint(advice.Of(40))}
			var got haproxyState
			s.await("the same in HAProxy", func() bool {
				got = haproxySees(t, dir, fmt.Sprintf("s%d", i))
				if !want.up || want.drain { // the weight does not matter
					got.weight = want.weight
				}
				if want.maintenance { // which is not down
					got.up = false
				}
				return got == want
			})
		})
	}
	run(t,
		clause{"haproxy without servers", web, get("/"), "HTTP 503, wanted 200"},
		clause{"no agent", web, checker.Agent{}, `~not the answer of an agent: "HTTP/1.[01] 408 Request Time-out"`},
		clause{"refused", newPort(), checker.Agent{}, "connection refused"},
	)
}

// agent says a text to whoever connects.
func agent(t *testing.T, text string) uint16 {
	t.Helper()
	port := newPort()
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, text)
			_ = conn.Close()
		}
	}()
	return port
}

// haproxySees asks HAProxy for the state of a server.
func haproxySees(t *testing.T, dir, name string) haproxyState {
	t.Helper()
	conn, err := net.Dial("unix", filepath.Join(dir, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(conn, "show servers state all\n")
	text, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		// be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight …
		fields := strings.Fields(line)
		if len(fields) < 8 || fields[3] != name {
			continue
		}
		const stopped, maintenance, drain = "0", 0x01, 0x08
		var admin int
		if _, err := fmt.Sscan(fields[6], &admin); err != nil {
			t.Fatal(err)
		}
		return haproxyState{
			up: fields[5] != stopped, maintenance: admin&maintenance != 0, drain: admin&drain != 0, weight: fields[7],
		}
	}
	t.Fatalf("HAProxy does not know %s: %q", name, text)
	return haproxyState{}
}
