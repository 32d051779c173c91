package config

import (
	"slices"
	"strings"
	"time"

	"bascule/checker"
)

// maxExpiryWarning bounds how long before its end a certificate is warned of.
const maxExpiryWarning = 366 * 24 * time.Hour

// tlsKeys are the keys of TLS.
var tlsKeys = []key{
	words("server_name", "the name to ask for and to expect in the certificate"),
	words("ca", "the path of a file of authorities"),
	words("certificate", "the path of a file with the client certificate"),
	words("key", "the path of a file with the key of the client certificate"),
	yesNo("verify"),
	{name: "expiry_warning", read: as(duration(0, maxExpiryWarning))},
	oneWord("min_version", "1.0", "1.1", "1.2", "1.3"),
}

// kindTLS is a handshake alone.
var kindTLS = &kind{
	name: "tls", keys: append(slices.Clone(tlsKeys), key{name: "alpn", read: as(protocols)}),
	build: func(v values) checker.Probe { return checker.TLS{Options: v.tls(), ALPN: v.text("alpn")} },
}

// kindGRPC is the health of a gRPC server.
var kindGRPC = &kind{
	name: "grpc",
	keys: slices.Concat([]key{
		words("service", "the name of a gRPC service"),
		{name: "host", read: as(httpHost)},
	}, encryptionKeys("tls")),
	build: func(v values) checker.Probe {
		return checker.GRPC{
			Service: v.text("service"), Host: v.text("host"),
			Secure: v.encryption() != checker.Plain, TLS: v.tlsIfEncrypted(),
		}
	},
}

// tls is the TLS that the parameters ask for.
func (v values) tls() checker.TLSOptions {
	o := checker.TLSOptions{
		ServerName: v.text("server_name"), CA: v.text("ca"), Certificate: v.text("certificate"), Key: v.text("key"),
		ExpiryWarning: value(v, "expiry_warning", time.Duration(0)), MinVersion: v.text("min_version"),
	}
	switch {
	case v.flag("verify"):
		o.Verify = checker.VerifyAlways
	case v.has("verify"):
		o.Verify = checker.VerifyNever
	}
	return o
}

// tlsIfEncrypted is tls for a protocol that may be in clear. Options are left
// out then: they come from another check that this one is said over.
func (v values) tlsIfEncrypted() checker.TLSOptions {
	if !v.encrypted() {
		return checker.TLSOptions{}
	}
	return v.tls()
}

// encrypted is true of a check that speaks TLS, be it from a step on.
func (v values) encrypted() bool {
	isUpgrade := func(step checker.Step) bool { return step.Action == checker.StepStartTLS }
	return v.encryption() != checker.Plain || slices.ContainsFunc(value(v, "steps", checker.Steps{}).List(), isUpgrade)
}

// inClear reports options of TLS in the table of a check without any.
func (r checkReader) inClear(s section, c check) {
	names := c.kind.names()
	if !slices.Contains(names, "encryption") || c.broken || c.values.encrypted() {
		return
	}
	for _, k := range tlsKeys {
		if n := s.table[k.name]; n != nil && slices.Contains(names, k.name) {
			r.add(n.place, "has a meaning with encryption only, which is not given")
		}
	}
}

// encryptionKeys are the keys of a protocol that can be in clear and encrypted
// in some ways.
func encryptionKeys(ways ...string) []key {
	keys := []key{oneWord("encryption", append(ways, "none")...)}
	return append(keys, tlsKeys...)
}

// encryption is how the parameters ask to encrypt.
func (v values) encryption() checker.Encryption {
	if way := v.text("encryption"); way != "none" {
		return checker.Encryption(way)
	}
	return checker.Plain
}

// protocols reads the protocols to offer by ALPN, and joins them.
func protocols(p *problems, n *node) (string, bool) {
	var list []string
	for _, element := range p.elements(n, `an array of protocols such as "h2"`) {
		name, ok := text("a protocol of ALPN")(p, element)
		bad := func(r rune) bool { return r <= ' ' || r >= 0x7f || r == ',' }
		if ok && (name == "" || len(name) > 255 || strings.ContainsFunc(name, bad)) {
			p.add(element.place, `%s is no protocol of ALPN, such as "h2" or "http/1.1"`, quote(name))
			ok = false
		}
		if !ok {
			return "", false
		}
		list = append(list, name)
	}
	return strings.Join(list, ","), len(list) > 0
}
