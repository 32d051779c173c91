//go:build servers

package servers

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"bascule/checker"
)

// mariaDB starts a server of MariaDB with small files and loud warnings.
func mariaDB(t *testing.T, dir string, port uint16, more ...string) *server {
	t.Helper()
	data := filepath.Join(dir, "data")
	const small = "--innodb-log-file-size=4M"
	prepare(t, nobody, dir, "mariadb-install-db", "--no-defaults", "--datadir="+data, "--skip-test-db",
		"--auth-root-authentication-method=normal", small)
	// One statement a line.
	users := write(t, dir, "users.sql", strings.Join([]string{
		"CREATE USER probe@'%' IDENTIFIED BY 'right';",
		"CREATE USER locked@'%' IDENTIFIED BY 'right' ACCOUNT LOCK;",
		"CREATE USER encrypted@'%' IDENTIFIED BY 'right' REQUIRE SSL;",
		"CREATE USER socket@'%' IDENTIFIED VIA unix_socket;",
		"CREATE USER empty@'%';",
		"",
	}, "\n"))
	return start(t, nobody, dir, append([]string{
		"mariadbd", "--no-defaults", "--datadir=" + data, "--socket=" + dir + "/socket", "--bind-address=127.0.0.1",
		fmt.Sprintf("--port=%d", port), small, "--innodb-flush-log-at-trx-commit=0", "--init-file=" + users,
		"--log-warnings=9", "--pid-file=" + dir + "/pid",
	}, more...)...).says("ready for connections")
}

// mysqlLogin is a login of the user that may.
func mysqlLogin(password string) checker.MySQL {
	return checker.MySQL{User: "probe", Password: checker.NewSecret(password)}
}

// TestMySQL holds checks against MariaDB.
func TestMySQL(t *testing.T) {
	t.Parallel()
	dir, port := workspace(t, nobody), newPort()
	ca := newAuthority(t, dir)
	files := ca.issue(t, dir, "site", site, nextYear())
	s := mariaDB(t, dir, port, "--max-connections=10", "--ssl-cert="+files.certificate, "--ssl-key="+files.key)
	good := mysqlLogin("right")
	query := func(statement string) checker.MySQL {
		p := good
		p.Query = statement
		return p
	}
	user := func(name string, crypt checker.Encryption) checker.MySQL {
		p := good
		p.User, p.Encryption = name, crypt
		return p
	}
	s.quiet(`(?i)warning|aborted|error`, port,
		clause{"login", port, good, ""},
		clause{"login without password", port, checker.MySQL{User: "empty"}, ""},
		clause{"query", port, query("SELECT version()"), ""},
		clause{"query of many rows", port, query("WITH RECURSIVE n (i) AS (SELECT 1 UNION SELECT i + 1 FROM n WHERE i < 1000) SELECT i FROM n"), ""},
		clause{"starttls", port, user("encrypted", checker.StartTLS), ""},
	)
	run(t,
		clause{"without user", port, checker.MySQL{}, ""},
		clause{"without user, starttls", port, checker.MySQL{Encryption: checker.StartTLS}, ""},
		clause{"wrong password", port, mysqlLogin("wrong"),
			"MySQL error 1045: Access denied for user 'probe'@'localhost' (using password: YES)"},
		clause{"wrong password, starttls", port, checker.MySQL{User: "probe", Encryption: checker.StartTLS},
			"MySQL error 1045: Access denied for user 'probe'@'localhost' (using password: NO)"},
		clause{"TLS wanted", port, user("encrypted", checker.Plain), "MySQL error 1045: Access denied for user 'encrypted'@'localhost' (using password: YES)"},
		clause{"locked", port, user("locked", checker.Plain), "MySQL error 4151: Access denied, this account is locked"},
		clause{"other way of authentication", port, user("socket", checker.Plain), "~MySQL error 1698: Access denied for user 'socket'.*"},
		clause{"query without rows", port, query("SELECT 1 FROM DUAL WHERE FALSE"), "MySQL query returned no row"},
		clause{"statement without rows", port, query("SET @x = 1"), "MySQL query returned no row"},
		clause{"query forbidden", port, query("SELECT * FROM mysql.user"),
			"~MySQL error 1142: SELECT command denied to user 'probe'@'localhost' for table .*"},
		clause{"query wrong", port, query("SELEKT"), "~MySQL error 1064: You have an error in your SQL syntax; .*"},
		clause{"not HTTP", port, checker.HTTP{Method: "GET", Path: "/", Status: "200"}, "~not an HTTP reply: .*"},
	)
	verification(t, ca, port, func(o checker.TLSOptions) checker.Probe {
		p := user("encrypted", checker.StartTLS)
		p.TLS = o
		return p
	})
	// One more than is configured is for administrators.
	crowd(t, s, port, 11, good, "MySQL error 1040: Too many connections")
	outage(t, s, port, good, " waiting for the MySQL greeting")
}

// A server blocks a host that breaks off too many handshakes. Probes do not
// bring a director there, however many fail; visitors who hang up do.
func TestMySQLDoesNotBlock(t *testing.T) {
	t.Parallel()
	dir, port := workspace(t, nobody), newPort()
	mariaDB(t, dir, port, "--max-connect-errors=3")
	secure := newPort()
	ca := newAuthority(t, dir)
	files := ca.issue(t, dir, "site", site, nextYear())
	mariaDB(t, workspace(t, nobody), secure, "--max-connect-errors=3", "--ssl-cert="+files.certificate, "--ssl-key="+files.key)
	// The server counts by address, except 127.0.0.1.
	visit := func(p checker.Probe) error {
		_, err := probe(t, port, from{p, visitor}, patience)
		return err
	}
	for range 10 {
		wantReason(t, visit(checker.MySQL{}), "")
		wantReason(t, visit(checker.MySQL{Encryption: checker.StartTLS}), "MySQL server does not offer TLS")
		wantReason(t, visit(mysqlLogin("wrong")), "~MySQL error 1045: Access denied for user 'probe'.*")
	}
	wantReason(t, visit(mysqlLogin("right")), "")
	unknown, other := mysqlLogin("right"), mysqlLogin("right")
	unknown.Encryption, unknown.TLS.Verify = checker.StartTLS, checker.VerifyAlways
	other.Encryption, other.TLS.CA, other.TLS.ServerName = checker.StartTLS, ca.file, "other.example.org"
	for range 5 {
		_, err := probe(t, secure, from{unknown, visitor}, patience)
		wantReason(t, err, "certificate signed by unknown authority")
		_, err = probe(t, secure, from{other, visitor}, patience)
		wantReason(t, err, "certificate is for www.example.org, 127.0.0.1, wanted other.example.org")
	}
	for range 5 {
		resetting(t, visitor, port)
	}
	wantReason(t, visit(mysqlLogin("right")), "~MySQL error 1129: Host '.*' is blocked because of many connection errors; .*")
}
