package config

import (
	"strings"

	"bascule/checker"
)

// kindsLocal are the kinds that ask something else than the service itself.
var kindsLocal = []*kind{
	{
		name: "script",
		keys: []key{
			key{name: "command", read: as(command)}.required(`the program and its arguments, such as ["/usr/local/lib/check-web", "-v"]`),
			words("user", "the name of the user to run the script"),
			words("group", "the name of the group to run the script"),
			yesNo("weight"),
			{name: "environment", read: as(environment)},
		},
		aliases:  map[string]string{"argv": "command", "env": "environment"},
		build:    buildScript,
		portless: true,
	},
	{
		name: "file",
		keys: []key{
			words("path", "the path of a file on the directors").required(`the path of a file on the directors, such as "/run/maintenance"`),
			oneWord("wanted", fileWants...).required(oneOf(fileWants)),
		},
		build: func(v values) checker.Probe {
			return checker.File{Path: v.text("path"), Wanted: value(v, "wanted", checker.FileExists)}
		},
		portless: true, without: wayKeys,
	},
	{
		name:  "agent",
		keys:  []key{words("send", "what to send to the agent")},
		build: func(v values) checker.Probe { return checker.Agent{Send: v.text("send")} },
	},
}

// fileWants are what a file may be wanted for.
var fileWants = []string{checker.FileExists, checker.FileMissing, checker.FileContent}

// buildScript returns a check by a script. No script runs as root unless that
// is said.
func buildScript(v values) checker.Probe {
	return checker.Script{
		Argv: value(v, "command", checker.Strings("")), User: value(v, "user", "nobody"), Group: v.text("group"),
		Weight: v.flag("weight"), Env: value(v, "environment", checker.Strings("")),
	}
}

// command reads a program and its arguments.
func command(p *problems, n *node) (checker.Strings, bool) {
	var list []string
	elements := p.elements(n, "an array of a program and its arguments")
	for _, element := range elements {
		if word, ok := text("a program or an argument")(p, element); ok {
			list = append(list, word)
		}
	}
	return checker.NewStrings(list...), len(list) > 0 && len(list) == len(elements)
}

// environment reads a table of variables. No message repeats a value, which may
// be a key.
func environment(p *problems, n *node) (checker.Strings, bool) {
	if n.table == nil {
		p.wrongType(n, `a table of variables, such as { NAME = "value" },`)
		return "", false
	}
	var list []string
	for _, name := range n.names {
		value, ok := hidden("the value of a variable")(p, n.table[name])
		switch {
		case !ok:
		case name == "" || strings.ContainsAny(name, "=\x00") || strings.HasPrefix(name, "BASCULE_"):
			p.add(n.table[name].place, `%s is no name of a variable: without "=", and not BASCULE_…`, quote(name))
		case strings.ContainsRune(value, 0):
			p.add(n.table[name].place, "has a NUL character, for which there is no room")
		default:
			list = append(list, name+"="+value)
		}
	}
	return checker.NewStrings(list...), len(list) == len(n.names)
}
