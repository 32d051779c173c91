//go:build servers

package servers

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bascule/checker"
)

// nginxConfig has a server for each case: in clear, over TLS with certificates
// good and bad, one that wants a certificate, and HTTP/2 in clear.
const nginxConfig = `
daemon off;
worker_processes 1;
pid @dir@/pid;
error_log stderr info;
events { worker_connections 64; }
http {
	access_log off;
	client_body_temp_path @dir@/t1; proxy_temp_path @dir@/t2; fastcgi_temp_path @dir@/t3;
	uwsgi_temp_path @dir@/t4; scgi_temp_path @dir@/t5;
	server {
		listen 127.0.0.1:@http@ default_server;
		location = / { return 200 "it works\n"; }
		location = /broken { return 503; }
		location = /redirect { return 301 https://www.example.org/; }
		location = /nothing { return 444; }
		location = /secret { auth_basic "secret"; auth_basic_user_file @dir@/users; root @dir@/files; }
		location = /large { root @dir@/files; }
		location = /agent { return 200 $http_user_agent; }
	}
	server {
		listen 127.0.0.1:@http@;
		server_name www.example.org;
		location / { return 200 "by name\n"; }
	}
	server {
		listen 127.0.0.1:@https@ ssl http2 default_server;
		ssl_reject_handshake on;
	}
	server {
		listen 127.0.0.1:@https@ ssl http2;
		server_name www.example.org;
		ssl_certificate @site@.pem; ssl_certificate_key @site@.key;
		location = / { return 200 "$server_protocol\n"; }
	}
	server {
		listen 127.0.0.1:@expired@ ssl;
		ssl_certificate @expiredcert@.pem; ssl_certificate_key @expiredcert@.key;
		location = / { return 200 "it works\n"; }
	}
	server {
		listen 127.0.0.1:@other@ ssl;
		ssl_certificate @othercert@.pem; ssl_certificate_key @othercert@.key;
		location = / { return 200 "it works\n"; }
	}
	server {
		listen 127.0.0.1:@mutual@ ssl;
		ssl_certificate @site@.pem; ssl_certificate_key @site@.key;
		ssl_client_certificate @ca@; ssl_verify_client on;
		location = / { return 200 "it works\n"; }
	}
	server {
		listen 127.0.0.1:@http2@ http2;
		location = / { return 200 "$server_protocol\n"; }
		location = /broken { return 503; }
	}
}
`

// nginx is a web server with its ports and files.
type nginx struct {
	*server
	dir                                        string
	ca                                         *authority
	http, https, expired, other, mutual, http2 uint16
}

// newNginx starts a web server.
func newNginx(t *testing.T) *nginx {
	t.Helper()
	dir := workspace(t, nobody)
	n := &nginx{
		dir: dir, ca: newAuthority(t, dir),
		http: newPort(), https: newPort(), expired: newPort(), other: newPort(), mutual: newPort(), http2: newPort(),
	}
	n.ca.issue(t, dir, "site", site, nextYear())
	n.ca.issue(t, dir, "expired", site, expired)
	n.ca.issue(t, dir, "other", "other.example.org", nextYear())
	n.ca.issue(t, dir, "client", "director.example.org", nextYear())
	write(t, dir, "files/secret", "the secret\n")
	write(t, dir, "files/large", strings.Repeat("0123456789abcde\n", 1<<16))
	write(t, dir, "users", "probe:{PLAIN}right\n")
	config := write(t, dir, "nginx.conf", nginxConfig, "dir", dir, "ca", n.ca.file,
		"site", n.file("site"), "expiredcert", n.file("expired"), "othercert", n.file("other"),
		"http", n.http, "https", n.https, "expired", n.expired, "other", n.other, "mutual", n.mutual, "http2", n.http2)
	n.server = start(t, nobody, dir, "nginx", "-p", dir, "-c", config).
		listens(n.http, n.https, n.expired, n.other, n.mutual, n.http2)
	return n
}

// expired is the end of the certificate that has expired.
var expired = time.Now().AddDate(0, -1, 0)

// file is the path of a file of the server.
func (n *nginx) file(name string) string { return filepath.Join(n.dir, name) }

// get is a request that wants 200.
func get(path string) checker.HTTP { return checker.HTTP{Method: "GET", Path: path, Status: "200"} }

// getSecure is the same by HTTPS, where an authority counts.
func (n *nginx) getSecure(version string) checker.HTTP {
	h := get("/")
	h.Secure, h.Host, h.Version, h.TLS.CA = true, site, version, n.ca.file
	return h
}

// largeDigest is the digest of the large file.
func largeDigest() string {
	sum := sha256.Sum256([]byte(strings.Repeat("0123456789abcde\n", 1<<16)))
	return hex.EncodeToString(sum[:])
}

// TestHTTP holds checks of kind http, and of tcp, against nginx.
func TestHTTP(t *testing.T) {
	t.Parallel()
	n := newNginx(t)
	body := func(path string, b checker.Body) checker.HTTP {
		h := get(path)
		h.Body = b
		return h
	}
	host := body("/", checker.Body{Contains: "by name"})
	host.Host = site
	login := func(password string) checker.HTTP {
		h := body("/secret", checker.Body{Contains: "the secret"})
		h.User, h.Password = "probe", checker.NewSecret(password)
		return h
	}
	redirect := get("/redirect")
	redirect.Status = "200-399"
	head := get("/")
	head.Method = "HEAD"
	n2 := get("/")
	n2.Version, n2.Body.Contains = "2", "HTTP/2.0"
	broken2 := n2
	broken2.Path, broken2.Body = "/broken", checker.Body{}
	n.quiet(`\[(error|alert|crit)\]|prematurely|reset`, n.http,
		clause{"get", n.http, get("/"), ""},
		clause{"head", n.http, head, ""},
		clause{"host", n.http, host, ""},
		clause{"login", n.http, login("right"), ""},
		clause{"redirect", n.http, redirect, ""},
		clause{"contains", n.http, body("/", checker.Body{Contains: "works"}), ""},
		clause{"matches", n.http, body("/agent", checker.Body{Matches: "^bascule$"}), ""},
		clause{"digest", n.http, body("/large", checker.Body{SHA256: largeDigest()}), ""},
	)
	run(t,
		clause{"tcp", n.http, checker.TCP{}, ""},
		// Its end is a reset, of which the server tells at its level info.
		clause{"HTTP/2 in clear", n.http2, n2, ""},
		clause{"not found", n.http, get("/missing"), "HTTP 404, wanted 200"},
		clause{"unavailable", n.http, get("/broken"), "HTTP 503, wanted 200"},
		clause{"redirect unwanted", n.http, get("/redirect"), "HTTP 301, wanted 200"},
		clause{"no reply", n.http, get("/nothing"), "~connection closed .*"},
		clause{"no login", n.http, get("/secret"), "HTTP 401, wanted 200"},
		clause{"wrong password", n.http, login("wrong"), "HTTP 401, wanted 200"},
		clause{"wrong host", n.http, body("/", checker.Body{Contains: "by name"}), `HTTP body does not contain "by name"`},
		clause{"excluded", n.http, body("/", checker.Body{Excludes: "works"}), `HTTP body matches "works", wanted no match`},
		clause{"wrong digest", n.http, body("/", checker.Body{SHA256: largeDigest()}),
			"HTTP body has SHA-256 753709aab4c5…, wanted " + largeDigest()[:12] + "…"},
		clause{"HTTP/2, unavailable", n.http2, broken2, "HTTP 503, wanted 200"},
		clause{"HTTP/2 of a server without it", n.http, n2, "~.*HTTP/2.*"},
		clause{"HTTP of a server of HTTP/2", n.http2, get("/"), "~.*"},
		clause{"in clear to TLS", n.https, get("/"), "HTTP 400, wanted 200"},
	)
	outage(t, n.server, n.http, get("/"), "")
	run(t, clause{"tcp ended", n.http, checker.TCP{}, "connection refused"})
}

// TestHTTPS holds checks of kinds https and tls against nginx.
func TestHTTPS(t *testing.T) {
	t.Parallel()
	n := newNginx(t)
	named := func(name string) checker.TLS {
		return checker.TLS{Options: checker.TLSOptions{ServerName: name, CA: n.ca.file}}
	}
	tls := named(site)
	alpn := func(protocols string) checker.TLS {
		p := tls
		p.ALPN = protocols
		return p
	}
	mutual := func(client string) checker.HTTP {
		h := n.getSecure("")
		h.TLS.Certificate, h.TLS.Key = n.file(client+".pem"), n.file(client+".key")
		return h
	}
	mutualTLS := tls
	mutualTLS.Options.Certificate, mutualTLS.Options.Key = n.file("client.pem"), n.file("client.key")
	two := n.getSecure("2")
	two.Body.Contains = "HTTP/2.0"
	foreign := tls
	foreign.Options.CA = ""
	lax := named("")
	lax.Options = checker.TLSOptions{}
	n.quiet(`\[(error|alert|crit)\]|SSL_|prematurely|reset`, n.https,
		clause{"tls", n.https, tls, ""},
		clause{"https", n.https, n.getSecure(""), ""},
		clause{"https with HTTP/2", n.https, two, ""},
		clause{"alpn", n.https, alpn("h2"), ""},
		clause{"client certificate", n.mutual, mutual("client"), ""},
		clause{"client certificate, tls", n.mutual, mutualTLS, ""},
		clause{"expired, but unverified", n.expired, lax, ""},
	)
	end := "certificate expired " + expired.UTC().Format(time.DateOnly)
	run(t,
		clause{"expired", n.expired, tls, end},
		clause{"expired, https", n.expired, n.getSecure(""), end},
		clause{"other name", n.other, tls, "certificate is for other.example.org, 127.0.0.1, wanted www.example.org"},
		clause{"unknown authority", n.https, foreign, "certificate signed by unknown authority"},
		clause{"name unknown to the server", n.https, named("x.example.org"), `TLS handshake: server does not know the name "x.example.org"`},
		clause{"no client certificate", n.mutual, n.getSecure(""), "HTTP 400, wanted 200"},
		clause{"refused client certificate", n.mutual, mutual("expired"), "HTTP 400, wanted 200"},
		clause{"no such protocol", n.https, alpn("imap"), "~TLS.*imap.*"},
		clause{"no ALPN", n.expired, checker.TLS{ALPN: "h2"}, "~.*"},
		clause{"not TLS", n.http, tls, `~not TLS: "HTTP/1.1 400 .*`},
	)
	t.Run("expiry warning", func(t *testing.T) {
		p := tls
		p.Options.ExpiryWarning = 500 * 24 * time.Hour
		advice, err := probe(t, n.https, p, patience)
		wantReason(t, err, "")
		if want := "certificate expires " + nextYear().UTC().Format(time.DateOnly); advice.Warning != want {
			t.Errorf("warning %q, wanted %q", advice.Warning, want)
		}
	})
	outage(t, n.server, n.https, tls, "")
}

// grpcServer is a server of grpc.health.v1 on gRPC's own library, in clear and
// over TLS. The messages are small enough to be written by hand.
const grpcServer = `
import grpc, sys, time
from concurrent import futures

class Health(grpc.GenericRpcHandler):
	def service(self, call):
		if call.method == "/grpc.health.v1.Health/Check":
			return grpc.unary_unary_rpc_method_handler(self.check)

	def check(self, request, context):
		service = request[2:].decode()
		if service == "unknown":
			context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
		if service == "locked":
			context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you?")
		return {"stopped": b"\x08\x02", "starting": b""}.get(service, b"\x08\x01")

def serve(handlers, where, credentials=None):
	server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
	server.add_generic_rpc_handlers(handlers)
	if credentials:
		server.add_secure_port(where, credentials)
	else:
		server.add_insecure_port(where)
	server.start()
	return server

clear, encrypted, bare, certificate, key = sys.argv[1:]
pair = (open(key, "rb").read(), open(certificate, "rb").read())
servers = [
	serve([Health()], "127.0.0.1:" + clear),
	serve([Health()], "127.0.0.1:" + encrypted, grpc.ssl_server_credentials([pair])),
	serve([], "127.0.0.1:" + bare),
]
time.sleep(3600)
`

// TestGRPC holds checks against gRPC's library.
func TestGRPC(t *testing.T) {
	t.Parallel()
	dir := workspace(t, nobody)
	ca := newAuthority(t, dir)
	files := ca.issue(t, dir, "site", site, nextYear())
	clear, encrypted, bare := newPort(), newPort(), newPort()
	s := start(t, nobody, dir, "/usr/bin/python3", write(t, dir, "server.py", grpcServer),
		portText(clear), portText(encrypted), portText(bare), files.certificate, files.key).
		listens(clear, encrypted, bare)
	secure := func(service string, options checker.TLSOptions) checker.GRPC {
		return checker.GRPC{Service: service, Host: site, Secure: true, TLS: options}
	}
	verified := checker.TLSOptions{CA: ca.file}
	run(t,
		clause{"server", clear, checker.GRPC{}, ""},
		clause{"service", clear, checker.GRPC{Service: "shop"}, ""},
		clause{"tls", encrypted, secure("", verified), ""},
		clause{"tls, service", encrypted, secure("shop", checker.TLSOptions{}), ""},
		clause{"stopped", clear, checker.GRPC{Service: "stopped"}, "gRPC NOT_SERVING, wanted SERVING"},
		clause{"starting", clear, checker.GRPC{Service: "starting"}, "gRPC UNKNOWN, wanted SERVING"},
		clause{"unknown", clear, checker.GRPC{Service: "unknown"}, `gRPC NOT_FOUND: server knows no service "unknown"`},
		clause{"locked", clear, checker.GRPC{Service: "locked"}, "~gRPC UNAUTHENTICATED.*who are you.*"},
		clause{"stopped, tls", encrypted, secure("stopped", verified), "gRPC NOT_SERVING, wanted SERVING"},
		clause{"no health service", bare, checker.GRPC{}, "~gRPC UNIMPLEMENTED.*"},
		clause{"in clear to TLS", encrypted, checker.GRPC{}, "~.*"},
		clause{"TLS to clear", clear, secure("", verified), "~.*"},
		clause{"unknown authority", encrypted, secure("", checker.TLSOptions{Verify: checker.VerifyAlways}),
			"certificate signed by unknown authority"},
	)
	outage(t, s, clear, checker.GRPC{}, "")
}
