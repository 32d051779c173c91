package checker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
)

// maxSend bounds what is sent to an agent: a request line, no document.
const maxSend = 1 << 10

// Agent asks a program beside the real server, at the target, how the real
// server is: connect, send a text if there is one, read a line. The words of
// the line are those of HAProxy's agent-check (its configuration manual,
// section 5.2), in any number and order:
//
//	75%                          advises per cent of the configured weight
//	30                           advises a weight, in a line of known words only; HAProxy does not know it
//	up, ready                    the real server works
//	drain                        it works, but wants no new connections
//	maint                        it is out of service on purpose
//	down, fail, failed, stopped  it does not work; why may follow behind "#"
//	maxconn:30                   has no effect
//
// Words that are not known are ignored beside others that are.
//
// HAProxy remembers: "drain", "maint" and "down" hold until "ready" and "up",
// and a weight until the next. Here each answer stands for itself, and what it
// does not say does not hold. A director that has just started, or did not
// hear one answer, comes to the same as the others that way. An agent that
// drains says so in every answer.
//
// An agent that cannot be reached is a failed check, not an unknown one:
// nobody is there to say that the real server works.
type Agent struct {
	Send string // sent first, as it is, such as "status\n"; empty: nothing
}

// Kind returns "agent".
func (Agent) Kind() string { return "agent" }

// Validate says what is wrong with the parameters of an agent check, beginning
// with the name of the parameter.
func (a Agent) Validate() error {
	if len(a.Send) > maxSend {
		return fmt.Errorf("send has %d bytes: %d at most", len(a.Send), maxSend)
	}
	return nil
}

// agentChecker is the probe of one target.
type agentChecker struct {
	target endpoint
	send   string
}

// checker returns the probe of one target.
func (a Agent) checker(to endpoint) (Checker, error) { return &agentChecker{to, a.Send}, nil }

// Check asks the agent once.
func (c *agentChecker) Check(ctx context.Context) (Advice, error) {
	conn, end, err := c.target.connection(ctx, "tcp")
	if err != nil {
		return Advice{}, err
	}
	defer end()
	line, err := c.ask(conn)
	if err != nil {
		return Advice{}, describe(ctx, err, c.target.timeout)
	}
	said := parseStatement(line)
	switch {
	case said.words == 0 && said.alien != "":
		return Advice{}, fmt.Errorf("not the answer of an agent: %q", excerpt(line))
	case said.words == 0:
		return Advice{}, errors.New("the agent says nothing")
	}
	return said.verdict("agent")
}

// ask sends what is to be sent and returns the answer as far as its first line
// goes. HAProxy's manual makes the end of the line optional, so the end of the
// connection will do.
func (c *agentChecker) ask(conn net.Conn) (line string, err error) {
	if c.send != "" {
		if _, err := io.WriteString(conn, c.send); err != nil {
			return "", err
		}
	}
	buffer, length := make([]byte, maxWords), 0
	for length < len(buffer) {
		n, err := conn.Read(buffer[length:])
		length += n
		text := string(buffer[:length])
		switch {
		case strings.ContainsAny(text, "\r\n"), errors.Is(err, io.EOF):
			return text, nil
		case err != nil:
			return "", err
		}
	}
	return "", fmt.Errorf("the agent's line is over %d KiB", maxWords>>10)
}
