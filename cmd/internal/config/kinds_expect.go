package config

import (
	"encoding/hex"
	"regexp"
	"slices"
	"strings"

	"bascule/checker"
)

// kindExpect is a conversation that is told step by step.
var kindExpect = &kind{
	name: "expect",
	keys: slices.Concat([]key{
		key{name: "steps", read: as(steps)}.required(`the steps of the conversation, such as [{ expect = "+OK" }, { send = "QUIT\r\n" }]`),
		oneWord("transport", "tcp", "udp"),
	}, encryptionKeys("tls")),
	aliases: map[string]string{"network": "transport"},
	build: func(v values) checker.Probe {
		return checker.Expect{
			Network: value(v, "transport", "tcp"), Encryption: v.encryption(), TLS: v.tlsIfEncrypted(), Steps: value(v, "steps", checker.Steps{}),
		}
	},
}

// stepKeys are the keys of a step, of which each has one.
var stepKeys = []string{"send", "send_hex", "expect", "expect_hex", "match", "starttls"}

// steps reads the steps of a conversation. No message repeats what is sent,
// which may be a password.
func steps(p *problems, n *node) (checker.Steps, bool) {
	var list []checker.Step
	elements := p.elements(n, "an array of steps, which are tables,")
	for _, element := range elements {
		if step, ok := p.step(element); ok {
			list = append(list, step)
		}
	}
	if len(list) == 0 || len(list) < len(elements) {
		return checker.Steps{}, false
	}
	all, err := checker.NewSteps(list...)
	return all, err == nil // each has been looked at
}

// step reads one step.
func (p *problems) step(n *node) (checker.Step, bool) {
	s, ok := p.section(n, stepKeys...)
	if !ok {
		return checker.Step{}, false
	}
	var used []string
	for _, name := range s.names {
		if slices.Contains(stepKeys, name) {
			used = append(used, name)
		}
	}
	switch {
	case len(used) == 0 && len(s.misread) == 0:
		p.add(n.place, "is no step: one of %s is wanted", oneOf(stepKeys))
		return checker.Step{}, false
	case len(used) == 0:
		return checker.Step{}, false
	case len(used) > 1:
		p.add(s.table[used[1]].place, "excludes %s: one key is a step", used[0])
		return checker.Step{}, false
	}
	at := s.table[used[0]]
	step := checker.Step{Action: checker.Action(strings.TrimSuffix(used[0], "_hex"))}
	if step.Data, ok = stepData(p, at); !ok {
		return checker.Step{}, false
	}
	_, err := checker.NewSteps(step)
	switch _, wrong := regexp.Compile(step.Data); {
	case err == nil:
		return step, true
	case step.Action == checker.StepMatch && wrong != nil:
		p.add(at.place, "%s is no regular expression in RE2's syntax: %s", quote(step.Data),
			oneLine(strings.TrimPrefix(wrong.Error(), "error parsing regexp: ")))
	default:
		p.add(at.place, "%s", strings.TrimPrefix(err.Error(), "step 1: "+string(step.Action)+": "))
	}
	return checker.Step{}, false
}

// stepData reads what a step sends or waits for.
func stepData(p *problems, n *node) (string, bool) {
	key := n.key[strings.LastIndexByte(n.key, '.')+1:]
	if key == "starttls" {
		if begin, ok := boolean(p, n); !ok || !begin {
			if ok {
				p.add(n.place, "false is no step: leave it out")
			}
			return "", false
		}
		return "", true
	}
	written, ok := hidden("the text of a step")(p, n)
	if !ok || !strings.HasSuffix(key, "_hex") {
		return written, ok
	}
	raw, err := hex.DecodeString(strings.ReplaceAll(written, " ", ""))
	if err != nil {
		p.add(n.place, "is not in hexadecimal: two digits for each byte are wanted")
	}
	return string(raw), err == nil
}
