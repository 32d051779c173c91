package checker

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// pgServer is a server with one user, "monitor".
type pgServer struct {
	auth     uint32 // the kind of authentication
	password string
	liar     bool              // that does not know the password
	tls      string            // what it answers to SSLRequest, if that must come
	refuses  string            // instead of the authentication: a message
	replies  map[string]string // by query: messages
	database string            // that must be asked for
}

// serve is one connection.
func (p pgServer) serve(t *testing.T) func(net.Conn) {
	return func(conn net.Conn) {
		_ = conn.SetDeadline(time.Now().Add(patience))
		if err := p.talk(conn); err != nil {
			t.Errorf("server: %v", err)
		}
	}
}

// pgTakes reads a message; the first ones have no kind.
func pgTakes(conn net.Conn, kind bool) (byte, string, error) {
	header := make([]byte, 5)
	at := 0
	if !kind {
		at = 1
	}
	if _, err := io.ReadFull(conn, header[at:]); err != nil {
		return 0, "", err
	}
	data := make([]byte, binary.BigEndian.Uint32(header[1:])-4)
	_, err := io.ReadFull(conn, data)
	return header[0], string(data), err
}

// pgAsks is a request for an authentication.
func pgAsks(kind uint32, data string) string {
	return pgMessage('R', string(binary.BigEndian.AppendUint32(nil, kind))+data)
}

// pgDenied is what a server says to a wrong password.
var pgDenied = pgMessage('E', "SFATAL\x00VFATAL\x00C28P01\x00Mpassword authentication failed\x00\x00")

// talk is one connection. An error is what a server would write into its log.
func (p pgServer) talk(conn net.Conn) error {
	if p.tls != "" {
		if _, data, err := pgTakes(conn, false); err != nil || data != "\x04\xd2\x16\x2f" {
			return fmt.Errorf("%q came, want SSLRequest: %w", data, err)
		}
		_, _ = io.WriteString(conn, p.tls)
		if p.tls != "S" {
			return nil
		}
		conn = tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{testCertificate()}})
	}
	_, startup, err := pgTakes(conn, false)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(startup, "\x00\x03\x00\x00user\x00") || !strings.HasSuffix(startup, "\x00\x00") ||
		p.database != "" && !strings.Contains(startup, "\x00database\x00"+p.database+"\x00") {
		return fmt.Errorf("start-up message %q", startup)
	}
	if p.refuses != "" {
		_, _ = io.WriteString(conn, p.refuses)
		return nil
	}
	good, err := p.authenticate(conn)
	if errors.Is(err, io.EOF) && p.auth != 0 { // a client without a password may go in order
		return nil
	}
	if err != nil {
		return err
	}
	if !good {
		_, _ = io.WriteString(conn, pgDenied)
		return nil
	}
	_, _ = io.WriteString(conn, pgAsks(0, "")+pgMessage('S', "a\x00b\x00")+pgMessage('K', "\x00\x00\x00\x01\x00\x00\x00\x02")+pgMessage('Z', "I"))
	for {
		kind, data, err := pgTakes(conn, true)
		switch {
		case errors.Is(err, io.EOF) && p.liar, kind == 'X' && err == nil:
			return nil
		case err != nil:
			return fmt.Errorf("the client goes without a word: %w", err)
		}
		_, _ = io.WriteString(conn, p.replies[strings.TrimRight(data, "\x00")])
	}
}

// authenticate asks for the password.
func (p pgServer) authenticate(conn net.Conn) (bool, error) {
	switch p.auth {
	case pgAuthCleartext:
		_, _ = io.WriteString(conn, pgAsks(p.auth, ""))
		_, data, err := pgTakes(conn, true)
		return data == p.password+"\x00", err
	case pgAuthMD5:
		_, _ = io.WriteString(conn, pgAsks(p.auth, "salt"))
		_, data, err := pgTakes(conn, true)
		// printf '%s%s' "$(printf hunter2monitor | md5sum | cut -c-32)" salt | md5sum
		return data == "md5b7603cf02ba2ae7897c1eac25ee16516\x00", err
	case pgAuthSASL:
		return p.scram(conn)
	case pgAuthOK:
		return true, nil
	}
	_, _ = io.WriteString(conn, pgAsks(p.auth, ""))
	return false, io.EOF
}

// scram is the server's side of SCRAM-SHA-256.
func (p pgServer) scram(conn net.Conn) (bool, error) {
	_, _ = io.WriteString(conn, pgAsks(pgAuthSASL, "SCRAM-SHA-256-PLUS\x00SCRAM-SHA-256\x00\x00"))
	_, data, err := pgTakes(conn, true)
	if err != nil {
		return false, err
	}
	mechanism, first, _ := strings.Cut(data, "\x00")
	if first = first[4:]; mechanism != "SCRAM-SHA-256" || !strings.HasPrefix(first, "n,,n=,r=") {
		return false, fmt.Errorf("%q came", data)
	}
	salt, nonce := "saltsaltsalt", strings.TrimPrefix(first, "n,,n=,r=")+"server"
	challenge := "r=" + nonce + ",s=" + base64.StdEncoding.EncodeToString([]byte(salt)) + ",i=4096"
	_, _ = io.WriteString(conn, pgAsks(pgAuthContinue, challenge))
	if _, data, err = pgTakes(conn, true); err != nil {
		return false, err
	}
	final, encoded, _ := strings.Cut(data, ",p=")
	proof, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || final != "c=biws,r="+nonce {
		return false, fmt.Errorf("%q came: %w", data, err)
	}
	salted, err := pbkdf2.Key(sha256.New, p.password, []byte(salt), 4096, 32)
	if err != nil {
		return false, err
	}
	auth := strings.TrimPrefix(first, "n,,") + "," + challenge + "," + final
	stored := sha256.Sum256(sign(salted, "Client Key"))
	key := sha256.Sum256(xor(proof, sign(stored[:], auth)))
	if !hmac.Equal(key[:], stored[:]) {
		return false, nil
	}
	signature := sign(sign(salted, "Server Key"), auth)
	if p.liar {
		signature[0] ^= 1
	}
	_, _ = io.WriteString(conn, pgAsks(pgAuthFinal, "v="+base64.StdEncoding.EncodeToString(signature)))
	return true, nil
}

func TestPostgreSQL(t *testing.T) {
	noLeak(t)
	monitor := PostgreSQL{User: "monitor", Password: NewSecret("hunter2")}
	with := func(query string) PostgreSQL {
		return PostgreSQL{User: "monitor", Password: NewSecret("hunter2"), Database: "app", Query: query}
	}
	fatal := func(code, text string) string {
		return pgMessage('E', "SFATAL\x00C"+code+"\x00M"+text+"\x00\x00")
	}
	row := pgMessage('T', "\x00\x00") + pgMessage('D', "\x00\x00") + pgMessage('C', "SELECT 1\x00") + pgMessage('Z', "I")
	none := pgMessage('T', "\x00\x00") + pgMessage('C', "SELECT 0\x00") + pgMessage('Z', "I")
	replies := map[string]string{
		"one": row, "none": none, "wrong": pgMessage('E', "SERROR\x00C42P01\x00Mrelation \"x\" does not exist\x00\x00") + pgMessage('Z', "I"),
		"many": pgMessage('T', "\x00\x00") + strings.Repeat(pgMessage('D', "\x00\x00"), 1000) + pgMessage('Z', "I"),
	}
	const denied = "PostgreSQL FATAL 28P01: password authentication failed"
	tests := []struct {
		name   string
		server pgServer
		probe  PostgreSQL
		want   string
	}{
		{"trust", pgServer{}, PostgreSQL{User: "monitor"}, ""},
		{"cleartext", pgServer{auth: pgAuthCleartext, password: "hunter2"}, monitor, ""},
		{"cleartext, wrong", pgServer{auth: pgAuthCleartext, password: "x"}, monitor, denied},
		{"md5", pgServer{auth: pgAuthMD5}, monitor, ""},
		{"md5, wrong", pgServer{auth: pgAuthMD5}, PostgreSQL{User: "monitor", Password: NewSecret("x")}, denied},
		{"scram", pgServer{auth: pgAuthSASL, password: "hunter2"}, monitor, ""},
		{"scram, wrong", pgServer{auth: pgAuthSASL, password: "x"}, monitor, denied},
		{"scram of a liar", pgServer{auth: pgAuthSASL, password: "hunter2", liar: true}, monitor, "SCRAM: the server does not know the password"},
		{"kerberos", pgServer{auth: 7}, monitor, "PostgreSQL wants authentication 7: cleartext (3), MD5 (5) and SCRAM (10) are possible"},
		{"password is wanted", pgServer{auth: pgAuthSASL}, PostgreSQL{User: "monitor"}, ""},
		{"stranger, password is wanted", pgServer{auth: pgAuthMD5}, PostgreSQL{}, ""},
		{"stranger", pgServer{refuses: fatal("28000", `role "bascule" does not exist`)}, PostgreSQL{}, ""},
		{"known, but no such role", pgServer{refuses: fatal("28000", `role "monitor" does not exist`)}, monitor, `PostgreSQL FATAL 28000: role "monitor" does not exist`},
		{"starting", pgServer{refuses: fatal("57P03", "the database system is starting up")}, PostgreSQL{}, "PostgreSQL FATAL 57P03: the database system is starting up"},
		{"full", pgServer{refuses: fatal("53300", "sorry, too many clients already")}, PostgreSQL{}, "PostgreSQL FATAL 53300: sorry, too many clients already"},
		{"row", pgServer{database: "app"}, with("one"), ""},
		{"many rows", pgServer{}, with("many"), ""},
		{"no row", pgServer{}, with("none"), "PostgreSQL query returned no row"},
		{"no table", pgServer{}, with("wrong"), `PostgreSQL ERROR 42P01: relation "x" does not exist`},
		{"query without a password", pgServer{auth: pgAuthSASL}, PostgreSQL{User: "monitor", Query: "one"}, "PostgreSQL wants a password"},
		{"tls", pgServer{tls: "S", auth: pgAuthSASL, password: "hunter2"}, PostgreSQL{User: "monitor", Password: NewSecret("hunter2"), Encryption: StartTLS}, ""},
		{"no tls", pgServer{tls: "N"}, PostgreSQL{Encryption: StartTLS}, "PostgreSQL server does not offer TLS"},
		{"strange tls", pgServer{tls: "H"}, PostgreSQL{Encryption: StartTLS}, "not PostgreSQL: 'H' in reply to SSLRequest"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.server.replies = replies
			wantError(t, check(t, probeSpec(test.probe, serve(t, test.server.serve(t)), patience)), test.want)
		})
	}
}

// The example of RFC 7677, section 3.
func TestSCRAM(t *testing.T) {
	var cache saltedCache
	exchange := newSCRAM(NewSecret("pencil"), &cache)
	exchange.name, exchange.nonce = "user", "rOprNGfwEbeRWgbNEkqO"
	const challenge = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
	const want = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
	if got, err := exchange.proof(challenge); err != nil || got != want {
		t.Errorf("proof %q, error %v, want %q", got, err, want)
	}
	if err := exchange.verify("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="); err != nil || !exchange.verified {
		t.Errorf("verified %t, error %v", exchange.verified, err)
	}
}

func TestSCRAMRefuses(t *testing.T) {
	tests := []struct{ challenge, want string }{
		{"", "SCRAM message of the server is damaged"},
		{"r=other,s=c2FsdA==,i=4096", "SCRAM message of the server is damaged"},
		{"r=nonce,s=?,i=4096", "SCRAM message of the server is damaged"},
		{"r=nonce,s=c2FsdA==,i=0", "SCRAM message of the server is damaged"},
		{"r=nonce,s=c2FsdA==,i=x", "SCRAM message of the server is damaged"},
		{"r=nonce,s=c2FsdA==,i=999999999", "SCRAM of 999999999 iterations: at most 200000 are worth it for a check"},
	}
	for _, test := range tests {
		exchange := newSCRAM(NewSecret("p"), &saltedCache{})
		exchange.nonce = "nonce"
		_, err := exchange.proof(test.challenge)
		wantError(t, err, test.want)
		wantError(t, exchange.verify("v="), "SCRAM message of the server is damaged")
	}
}

// The slow part is done once.
func TestSCRAMCache(t *testing.T) {
	var cache saltedCache
	first, err := cache.key(NewSecret("p"), "salt", 10)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := cache.key(NewSecret("p"), "salt", 10); &again[0] != &first[0] {
		t.Error("the same salt and iterations are worked out twice")
	}
	for _, other := range []struct {
		salt       string
		iterations int
	}{{"salz", 10}, {"salt", 11}} {
		if got, _ := cache.key(NewSecret("p"), other.salt, other.iterations); hmac.Equal(got, first) {
			t.Errorf("%+v gives the same key", other)
		}
	}
}

// FuzzSCRAM reads challenges of any kind.
func FuzzSCRAM(f *testing.F) {
	f.Add("r=nonce,s=c2FsdA==,i=1", "v=")
	f.Fuzz(func(t *testing.T, challenge, final string) {
		if len(challenge) > 1000 || strings.Contains(challenge, ",i=") && len(challenge[strings.Index(challenge, ",i="):]) > 5 {
			return // too much work
		}
		exchange := newSCRAM(NewSecret("p"), &saltedCache{})
		exchange.nonce = "nonce"
		_, err := exchange.proof(challenge)
		if end := exchange.verify(final); end == nil || err != nil && exchange.verified {
			t.Errorf("%q and %q are taken for a proof", challenge, final)
		}
	})
}

// FuzzPostgreSQLError reads errors of any kind.
func FuzzPostgreSQLError(f *testing.F) {
	f.Add([]byte("SFATAL\x00C28000\x00Mno such role\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) { wantReadable(t, parsePGError(data)) })
}
