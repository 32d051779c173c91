package config

import (
	"slices"

	"bascule/checker"
)

// kindsData are the kinds for databases and directories.
var kindsData = []*kind{
	{
		name: "redis",
		keys: slices.Concat(loginKeys, []key{oneWord("role", "master", "slave", "sentinel")}, encryptionKeys("tls")),
		build: func(v values) checker.Probe {
			return checker.Redis{
				User: v.text("user"), Password: v.secret("password"), Role: v.text("role"), Encryption: v.encryption(), TLS: v.tlsIfEncrypted(),
			}
		},
	},
	{
		name: "mysql",
		keys: slices.Concat(loginKeys, []key{words("query", "a query that returns a row")}, encryptionKeys("starttls")),
		build: func(v values) checker.Probe {
			return checker.MySQL{
				User: v.text("user"), Password: v.secret("password"), Query: v.text("query"), Encryption: v.encryption(), TLS: v.tlsIfEncrypted(),
			}
		},
	},
	{
		name: "postgresql",
		keys: slices.Concat(loginKeys, []key{
			words("database", "the name of a database"),
			words("query", "a query that returns a row"),
		}, encryptionKeys("starttls")),
		build: func(v values) checker.Probe {
			return checker.PostgreSQL{
				User: v.text("user"), Password: v.secret("password"), Database: v.text("database"),
				Query: v.text("query"), Encryption: v.encryption(), TLS: v.tlsIfEncrypted(),
			}
		},
	},
	{
		name: "ldap",
		keys: slices.Concat(loginKeys, []key{words("base", "the name of an entry")}, encryptionKeys("tls", "starttls")),
		build: func(v values) checker.Probe {
			return checker.LDAP{
				User: v.text("user"), Password: v.secret("password"), Base: v.text("base"), Encryption: v.encryption(), TLS: v.tlsIfEncrypted(),
			}
		},
	},
}
