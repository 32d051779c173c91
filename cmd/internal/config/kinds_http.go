package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"bascule/checker"
)

// kindsHTTP are the kinds that make a request of HTTP.
var kindsHTTP = []*kind{
	{name: "http", keys: httpKeys, aliases: bodyAliases, build: func(v values) checker.Probe { return v.http() }},
	{
		name: "https", keys: slices.Concat(httpKeys, tlsKeys), aliases: bodyAliases,
		build: func(v values) checker.Probe {
			probe := v.http()
			probe.Secure, probe.TLS = true, v.tls()
			return probe
		},
	},
}

// httpKeys are the keys of a request and of what is wanted of the reply.
var httpKeys = slices.Concat(
	[]key{
		words("path", "the path of an HTTP check"),
		{name: "host", read: as(httpHost)},
		words("method", "the method of an HTTP check"),
		words("status", "the status of an HTTP check"),
		oneWord("version", "1.1", "2"),
		{name: "headers", read: as(headers)},
	},
	loginKeys,
	[]key{
		words("body", "a text that is in the body"),
		words("body_matches", "a regular expression that the body matches"),
		words("body_excludes", "a regular expression that the body does not match"),
		words("sha256", "the SHA-256 digest of the body"),
		words("md5", "the MD5 digest of the body"),
	},
)

// bodyAliases are the keys of demands on the body.
var bodyAliases = map[string]string{"matches": "body_matches", "excludes": "body_excludes"}

// http is the request that the parameters ask for.
func (v values) http() checker.HTTP {
	return checker.HTTP{
		Method: value(v, "method", "GET"), Path: value(v, "path", "/"), Host: v.text("host"),
		Status: value(v, "status", "200-399"), Version: v.text("version"),
		Headers: value(v, "headers", checker.Headers{}), User: v.text("user"), Password: v.secret("password"),
		Body: checker.Body{
			Contains: v.text("body"), Matches: v.text("body_matches"), Excludes: v.text("body_excludes"),
			SHA256: v.text("sha256"), MD5: v.text("md5"),
		},
	}
}

// headers reads a table of header fields: a text each, or an array of them. No
// message repeats a value, which may be a key.
func headers(p *problems, n *node) (checker.Headers, bool) {
	if n.table == nil {
		p.wrongType(n, `a table of header fields, such as { X-Probe = "1" },`)
		return checker.Headers{}, false
	}
	var fields []string
	sound := true
	for _, name := range n.names {
		values := []*node{n.table[name]}
		if n.table[name].isList {
			values = p.elements(n.table[name], "an array of texts")
		}
		for _, element := range values {
			text, ok := hidden("the value of a header field")(p, element)
			if ok {
				field := name + ": " + text
				_, err := checker.NewHeaders(field)
				if err != nil {
					p.add(element.place, "%s", strings.TrimPrefix(err.Error(), fmt.Sprintf("header %q ", name)))
				}
				fields, ok = append(fields, field), err == nil
			}
			sound = sound && ok
		}
	}
	if !sound {
		return checker.Headers{}, false
	}
	list, err := checker.NewHeaders(fields...)
	return list, err == nil
}

// httpHost reads the host of a request.
func httpHost(p *problems, n *node) (string, bool) {
	host, ok := text("the host of an HTTP check")(p, n)
	if ok && !validHost(host) {
		p.add(n.place, `%s is no host name: such as "www.example.org" or "www.example.org:8080"`, quote(host))
		return "", false
	}
	return host, ok
}

// validHost is true of what a Host header can be: a name or an address, with
// or without a port. The empty one stands for the default.
func validHost(host string) bool {
	name := host
	if colon := strings.LastIndexByte(host, ':'); colon > strings.LastIndexByte(host, ']') {
		port, err := strconv.ParseUint(host[colon+1:], 10, 16)
		if err != nil || port == 0 {
			return false
		}
		name = host[:colon]
	}
	if inner, ok := strings.CutPrefix(name, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		addr, err := netip.ParseAddr(inner)
		return ok && err == nil && addr.Is6() && addr.Zone() == ""
	}
	other := func(r rune) bool { return !bareKey(r) && r != '.' }
	return (name != "" || host == "") && !strings.ContainsFunc(name, other)
}
