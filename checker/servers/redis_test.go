//go:build servers

package servers

import (
	"testing"

	"bascule/checker"
)

// TestRedis holds checks against a master of Redis, its replica, a sentinel,
// and a replica that has lost its master.
func TestRedis(t *testing.T) {
	t.Parallel()
	dir := workspace(t, nobody)
	ca := newAuthority(t, dir)
	files := ca.issue(t, dir, "site", site, nextYear())
	port, encrypted, replica, orphan, sentinel := newPort(), newPort(), newPort(), newPort(), newPort()
	redis := func(port uint16, more ...string) *server {
		work := workspace(t, nobody)
		return start(t, nobody, work, append([]string{
			"redis-server", "--bind", "127.0.0.1", "--port", portText(port), "--dir", work, "--save", "", "--loglevel", "verbose",
		}, more...)...).listens(port)
	}
	s := redis(port, "--requirepass", "right", "--user", "probe", "on", ">theirs", "+ping", "+role", "+quit", "+auth",
		"--user", "blind", "on", ">theirs", "+auth", "--maxclients", "10",
		"--tls-port", portText(encrypted), "--tls-cert-file", files.certificate, "--tls-key-file", files.key,
		"--tls-ca-cert-file", ca.file, "--tls-auth-clients", "no").listens(encrypted)
	redis(replica, "--replicaof", "127.0.0.1", portText(port), "--masterauth", "right").says("MASTER <-> REPLICA sync: Finished with success")
	redis(orphan, "--replicaof", "127.0.0.1", "1", "--replica-serve-stale-data", "no")
	watch := workspace(t, nobody)
	config := write(t, watch, "sentinel.conf", "sentinel monitor shop 127.0.0.1 @port@ 1\nsentinel auth-pass shop right\n", "port", port)
	prepare(t, account{}, watch, "chown", "65534", config)
	start(t, nobody, watch, "redis-server", config, "--sentinel", "--bind", "127.0.0.1", "--port", portText(sentinel)).listens(sentinel)

	right := checker.NewSecret("right")
	s.quiet(`(?i)warning|reset|error|Client closed connection`, port,
		clause{"password", port, checker.Redis{Password: right}, ""},
		clause{"user", port, checker.Redis{User: "probe", Password: checker.NewSecret("theirs"), Role: "master"}, ""},
		clause{"master", port, checker.Redis{Password: right, Role: "master"}, ""},
		clause{"tls", encrypted, checker.Redis{Encryption: checker.TLSFirst, Password: right}, ""},
	)
	run(t,
		clause{"replica", replica, checker.Redis{Role: "slave"}, ""},
		clause{"sentinel", sentinel, checker.Redis{Role: "sentinel"}, ""},
		clause{"no password", port, checker.Redis{}, "Redis NOAUTH Authentication required. after PING"},
		clause{"wrong password", port, checker.Redis{Password: checker.NewSecret("wrong")},
			"Redis WRONGPASS invalid username-password pair or user is disabled. after AUTH"},
		clause{"needless password", replica, checker.Redis{Password: right}, "~Redis ERR AUTH <password> called without any password.* after AUTH"},
		clause{"may not ping", port, checker.Redis{User: "blind", Password: checker.NewSecret("theirs")}, "~Redis NOPERM .* after PING"},
		clause{"replica instead of master", replica, checker.Redis{Role: "master"}, "Redis is slave, wanted master"},
		clause{"master instead of replica", port, checker.Redis{Password: right, Role: "slave"}, "Redis is master, wanted slave"},
		clause{"replica without master", orphan, checker.Redis{},
			"Redis MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'. after PING"},
		clause{"in clear to TLS", encrypted, checker.Redis{}, "~connection closed before the Redis reply to PING|not Redis: .*"},
	)
	verification(t, ca, encrypted, func(o checker.TLSOptions) checker.Probe {
		return checker.Redis{Encryption: checker.TLSFirst, TLS: o, Password: right}
	})
	crowd(t, s, port, 10, checker.Redis{Password: right}, "Redis ERR max number of clients reached after AUTH")
	outage(t, s, port, checker.Redis{Password: right}, " waiting for the Redis reply to AUTH")
}
