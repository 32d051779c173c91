//go:build servers

package servers

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"bascule/checker"
)

// postgres is one cluster of PostgreSQL.
type postgres struct {
	t       *testing.T
	dir     string
	ca      *authority
	port    uint16
	program string // the directory of its programs
}

// newPostgres makes a cluster with a few users.
func newPostgres(t *testing.T) *postgres {
	t.Helper()
	programs, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(programs) == 0 {
		t.Fatal("PostgreSQL is not installed")
	}
	p := &postgres{t: t, dir: workspace(t, nobody), port: newPort(), program: programs[0]}
	prepare(t, nobody, p.dir, p.program+"/initdb", "--no-sync", "--username=root", "--auth=trust", "--encoding=UTF8", p.data())
	p.ca = newAuthority(t, p.dir)
	files := p.ca.issue(t, p.dir, "site", site, nextYear())
	p.own(files.key)
	write(t, p.data(), "pg_hba.conf", strings.Join([]string{
		"local all root trust",
		"host all trusted all trust",
		"host all banned all reject",
		"host all old all md5",
		"hostssl all encrypted all scram-sha-256",
		"hostnossl all encrypted all reject",
		"host all all all scram-sha-256",
		"",
	}, "\n"))
	write(t, p.data(), "postgresql.conf", strings.Join([]string{
		"listen_addresses = '127.0.0.1'", fmt.Sprintf("port = %d", p.port), "unix_socket_directories = '" + p.dir + "'",
		"ssl = on", "ssl_cert_file = '" + files.certificate + "'", "ssl_key_file = '" + files.key + "'",
		"fsync = off", "max_connections = 6", "superuser_reserved_connections = 0", "max_wal_senders = 0",
		"wal_level = replica", "hot_standby = off", "log_checkpoints = off",
		"",
	}, "\n"))
	s := p.start(t)
	users := write(t, p.dir, "users.sql", strings.Join([]string{
		"CREATE ROLE trusted LOGIN;", "CREATE ROLE banned LOGIN;", "CREATE ROLE nologin PASSWORD 'right';",
		"CREATE ROLE probe LOGIN PASSWORD 'right';", "CREATE ROLE encrypted LOGIN PASSWORD 'right';",
		"SET password_encryption = 'md5';", "CREATE ROLE old LOGIN PASSWORD 'right';",
		"",
	}, "\n"))
	prepare(t, nobody, p.dir, p.program+"/psql", "-qX", "-v", "ON_ERROR_STOP=1", "-h", p.dir, "-p", fmt.Sprint(p.port),
		"-U", "root", "-d", "postgres", "-f", users)
	s.signal(syscall.SIGINT)
	<-s.exited
	return p
}

// own gives a file to the server, which accepts no key that others may read.
func (p *postgres) own(key string) {
	p.t.Helper()
	prepare(p.t, account{}, p.dir, "chown", fmt.Sprint(nobody.uid), key)
	prepare(p.t, account{}, p.dir, "chmod", "600", key)
}

// data is the directory of the cluster.
func (p *postgres) data() string { return filepath.Join(p.dir, "data") }

// begin starts the server, without waiting for more than its port.
func (p *postgres) begin(t *testing.T) *server {
	return start(t, nobody, p.dir, p.program+"/postgres", "-D", p.data()).listens(p.port)
}

// start starts the server.
func (p *postgres) start(t *testing.T) *server { return p.begin(t).says("ready to accept connections") }

// pgLogin is a login to the database that always is there.
func pgLogin(user, password string) checker.PostgreSQL {
	return checker.PostgreSQL{User: user, Password: checker.NewSecret(password), Database: "postgres"}
}

// TestPostgreSQL holds checks against PostgreSQL.
func TestPostgreSQL(t *testing.T) {
	t.Parallel()
	p := newPostgres(t)
	s := p.start(t)
	query := func(statement string) checker.PostgreSQL {
		q := pgLogin("probe", "right")
		q.Query = statement
		return q
	}
	tls := func(q checker.PostgreSQL) checker.PostgreSQL {
		q.Encryption = checker.StartTLS
		return q
	}
	const any = `(LOG|WARNING|ERROR|FATAL|PANIC):.*`
	s.quiet(any, p.port,
		clause{"scram", p.port, pgLogin("probe", "right"), ""},
		clause{"md5", p.port, pgLogin("old", "right"), ""},
		clause{"trust", p.port, pgLogin("trusted", ""), ""},
		clause{"starttls", p.port, tls(pgLogin("encrypted", "right")), ""},
		clause{"query", p.port, query("SELECT 1"), ""},
		clause{"query of many rows", p.port, query("SELECT generate_series(1, 1000)"), ""},
		clause{"no password, none sent", p.port, pgLogin("probe", ""), ""},
		clause{"without user", p.port, checker.PostgreSQL{}, ""},
		clause{"without user, starttls", p.port, tls(checker.PostgreSQL{}), ""},
	)
	run(t,
		clause{"wrong password, scram", p.port, pgLogin("probe", "wrong"),
			`PostgreSQL FATAL 28P01: password authentication failed for user "probe"`},
		clause{"wrong password, md5", p.port, pgLogin("old", "wrong"),
			`PostgreSQL FATAL 28P01: password authentication failed for user "old"`},
		clause{"may not log in", p.port, pgLogin("nologin", "right"),
			`PostgreSQL FATAL 28000: role "nologin" is not permitted to log in`},
		clause{"rejected", p.port, pgLogin("banned", "right"),
			"~PostgreSQL FATAL 28000: pg_hba.conf rejects connection for host \"127.0.0.1\", user \"banned\", .*"},
		clause{"TLS wanted", p.port, pgLogin("encrypted", "right"),
			"~PostgreSQL FATAL 28000: pg_hba.conf rejects connection for host .*"},
		clause{"no such database", p.port, checker.PostgreSQL{User: "trusted", Database: "missing"},
			`PostgreSQL FATAL 3D000: database "missing" does not exist`},
		clause{"query without rows", p.port, query("SELECT 1 WHERE false"), "PostgreSQL query returned no row"},
		clause{"query forbidden", p.port, query("SELECT * FROM pg_authid"),
			"PostgreSQL ERROR 42501: permission denied for table pg_authid"},
		clause{"query wrong", p.port, query("SELEKT"), `PostgreSQL ERROR 42601: syntax error at or near "SELEKT"`},
		clause{"query without password", p.port, checker.PostgreSQL{User: "probe", Database: "postgres", Query: "SELECT 1"},
			"PostgreSQL wants a password"},
	)
	verification(t, p.ca, p.port, func(o checker.TLSOptions) checker.Probe {
		q := tls(pgLogin("encrypted", "right"))
		q.TLS = o
		return q
	})
	t.Run("crowded, then ending", func(t *testing.T) { pgCrowded(t, p, s) })
	t.Run("standby", func(t *testing.T) { pgStandby(t, p) })
	outage(t, p.start(t), p.port, pgLogin("probe", "right"), " waiting for the PostgreSQL reply to the login")
}

// pgCrowded takes all connections of a server, ends it as long as they last,
// and then at once.
func pgCrowded(t *testing.T, p *postgres, s *server) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 6 {
		hold := pgLogin("trusted", "")
		hold.Query = "SELECT pg_sleep(600)"
		go occupy(ctx, p.port, hold)
	}
	s.await("all connections taken", func() bool {
		_, err := probe(t, p.port, checker.PostgreSQL{}, patience)
		return err != nil
	})
	for _, q := range []checker.PostgreSQL{pgLogin("probe", "right"), {}} {
		_, err := probe(t, p.port, q, patience)
		wantReason(t, err, "PostgreSQL FATAL 53300: sorry, too many clients already")
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	s.says("received smart shutdown request")
	for _, q := range []checker.PostgreSQL{pgLogin("probe", "right"), {}} {
		_, err := probe(t, p.port, q, patience)
		wantReason(t, err, "PostgreSQL FATAL 57P03: the database system is shutting down")
	}
	pgQuit(s)
}

// pgStandby holds checks against a server that never gets ready.
func pgStandby(t *testing.T, p *postgres) {
	signal := write(t, p.data(), "standby.signal", "")
	s := p.begin(t).says("entering standby mode")
	for _, q := range []checker.PostgreSQL{pgLogin("probe", "right"), {}} {
		_, err := probe(t, p.port, q, patience)
		wantReason(t, err, "~PostgreSQL FATAL 57P03: the database system is (starting up|not accepting connections)")
	}
	pgQuit(s)
	prepare(t, nobody, p.dir, "rm", signal)
}

// pgQuit ends a server at once, but with all of its processes, which are
// sessions of their own.
func pgQuit(s *server) {
	_ = s.cmd.Process.Signal(syscall.SIGQUIT)
	<-s.exited
}
