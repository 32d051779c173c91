package config

import (
	"slices"

	"bascule/checker"
)

// kindsMail are the kinds for servers of mail, news and files.
var kindsMail = []*kind{
	{
		name: "smtp",
		keys: slices.Concat([]key{words("hello", "the name to say in EHLO")}, encryptionKeys("tls", "starttls")),
		build: func(v values) checker.Probe {
			return checker.SMTP{Hello: v.text("hello"), Encryption: v.encryption(), TLS: v.tlsIfEncrypted()}
		},
	},
	{
		name: "imap",
		keys: slices.Concat(loginKeys, encryptionKeys("tls", "starttls")),
		build: func(v values) checker.Probe {
			return checker.IMAP{User: v.text("user"), Password: v.secret("password"), Encryption: v.encryption(), TLS: v.tlsIfEncrypted()}
		},
	},
	{
		name: "pop3",
		keys: slices.Concat(loginKeys, encryptionKeys("tls", "starttls")),
		build: func(v values) checker.Probe {
			return checker.POP3{User: v.text("user"), Password: v.secret("password"), Encryption: v.encryption(), TLS: v.tlsIfEncrypted()}
		},
	},
	{
		name: "ftp",
		keys: loginKeys,
		build: func(v values) checker.Probe {
			return checker.FTP{User: v.text("user"), Password: v.secret("password")}
		},
	},
	{
		name:  "nntp",
		keys:  encryptionKeys("tls", "starttls"),
		build: func(v values) checker.Probe { return checker.NNTP{Encryption: v.encryption(), TLS: v.tlsIfEncrypted()} },
	},
}
