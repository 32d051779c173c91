package config

import (
	"slices"

	"bascule/checker"
)

// kindsOther are the kinds for servers of telephony and authentication.
var kindsOther = []*kind{
	{
		name: "sip",
		keys: slices.Concat([]key{
			words("uri", "whom to ask, an address of SIP"),
			words("status", "the accepted status of SIP"),
			oneWord("transport", "udp", "tcp"),
		}, encryptionKeys("tls")),
		aliases: map[string]string{"network": "transport"},
		build: func(v values) checker.Probe {
			return checker.SIP{
				Network: value(v, "transport", "udp"), Encryption: v.encryption(), TLS: v.tlsIfEncrypted(), URI: v.text("uri"), Status: v.text("status"),
			}
		},
	},
	{
		name: "radius",
		keys: slices.Concat([]key{
			key{name: "secret", read: as(secretText("a secret"))}.required("the secret that this director has on the server, or better the path of a file with it in secret_file"),
			{name: "secret_file", read: as(secretPath)},
		}, loginKeys),
		build: func(v values) checker.Probe {
			return checker.RADIUS{Secret: v.secret("secret"), User: v.text("user"), Password: v.secret("password")}
		},
	},
}
