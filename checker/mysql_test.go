package checker

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	base16 "encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// mysqlNonce is what fake servers of MySQL have signed.
const mysqlNonce = "abcdefghijklmnopqrst"

// mysqlFrame is a packet with its header.
func mysqlFrame(sequence byte, data string) string {
	return string([]byte{byte(len(data)), byte(len(data) >> 8), byte(len(data) >> 16), sequence}) + data
}

// mysqlGreets is the greeting of a server whose users have a plugin.
func mysqlGreets(plugin string, extra uint32) string {
	capabilities := uint32(mysqlProtocol41|mysqlSecure|mysqlPluginAuth) | extra
	return mysqlFrame(0, "\x0a8.0.99-test\x00\x01\x02\x03\x04"+mysqlNonce[:8]+"\x00"+
		string([]byte{byte(capabilities), byte(capabilities >> 8), 33, 2, 0, byte(capabilities >> 16), byte(capabilities >> 24), 21})+
		strings.Repeat("\x00", 10)+mysqlNonce[8:]+"\x00"+plugin+"\x00")
}

// mysqlTakes reads a packet and its sequence number.
func mysqlTakes(conn net.Conn) (sequence byte, data []byte, err error) {
	header := make([]byte, 4)
	if _, err := io.ReadFull(conn, header); err != nil {
		return 0, nil, err
	}
	data = make([]byte, int(header[0])|int(header[1])<<8|int(header[2])<<16)
	_, err = io.ReadFull(conn, data)
	return header[3], data, err
}

// mysqlServer is a server whose user has a password, with some answers behind
// the login.
type mysqlServer struct {
	plugin   string // of the user
	first    string // what the greeting offers; empty: plugin
	password string
	full     bool              // caching_sha2_password without a cache
	tls      bool              // must be used
	replies  map[string]string // by command: packets
	key      *rsa.PrivateKey
}

// serve is one connection.
func (m mysqlServer) serve(t *testing.T) func(net.Conn) {
	return func(conn net.Conn) {
		_ = conn.SetDeadline(time.Now().Add(patience))
		if err := m.talk(conn); err != nil {
			t.Errorf("server: %v", err)
		}
	}
}

// talk is one connection. An error is what a server would count as a broken
// handshake.
func (m mysqlServer) talk(conn net.Conn) error {
	extra, first := uint32(0), m.first
	if m.tls {
		extra = mysqlSSL
	}
	if first == "" {
		first = m.plugin
	}
	_, _ = io.WriteString(conn, mysqlGreets(first, extra))
	sequence, data, err := mysqlTakes(conn)
	if err == nil && m.tls {
		if len(data) != 32 || data[1]&(mysqlSSL>>8) == 0 {
			return fmt.Errorf("%x is no request for TLS", data)
		}
		encrypted := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{testCertificate()}})
		conn = encrypted
		sequence, data, err = mysqlTakes(conn)
	}
	if err != nil {
		return err
	}
	fields := strings.SplitN(string(data[32:]), "\x00", 2)
	proof := []byte(fields[1][1 : 1+fields[1][0]])
	if plugin := strings.TrimSuffix(fields[1][1+len(proof):], "\x00"); plugin != first {
		return fmt.Errorf("plugin %q, want %q", plugin, first)
	}
	if first != m.plugin {
		_, _ = io.WriteString(conn, mysqlFrame(sequence+1, "\xfe"+m.plugin+"\x00"+mysqlNonce+"\x00"))
		if sequence, proof, err = mysqlTakes(conn); err != nil {
			return err
		}
	}
	if m.plugin == clientEd25519 && len(proof) != 64 {
		return fmt.Errorf("signature of %d bytes, which counts as a broken handshake", len(proof))
	}
	good := fields[0] == "monitor" && m.proven(proof)
	if good && m.full {
		if sequence, good, err = m.fully(conn, sequence); err != nil {
			return err
		}
	} else if good && m.plugin == cachingSHA2 {
		sequence++
		_, _ = io.WriteString(conn, mysqlFrame(sequence, "\x01\x03"))
	}
	if !good {
		_, _ = io.WriteString(conn, mysqlFrame(sequence+1, "\xff\x15\x04#28000Access denied for user '"+fields[0]+"'"))
		return nil
	}
	_, _ = io.WriteString(conn, mysqlFrame(sequence+1, "\x00\x00\x00\x02\x00\x00\x00"))
	return m.commands(conn)
}

// commands answers until the client takes its leave.
func (m mysqlServer) commands(conn net.Conn) error {
	for {
		sequence, data, err := mysqlTakes(conn)
		if err != nil {
			return fmt.Errorf("the client goes without a word: %w", err)
		}
		if string(data) == comQuit {
			return nil
		}
		if sequence != 0 {
			return fmt.Errorf("command with sequence number %d", sequence)
		}
		_, _ = io.WriteString(conn, m.replies[string(data)])
	}
}

// proven says whether a proof is right, as a server does that knows only the
// hash of the hash of the password.
func (m mysqlServer) proven(proof []byte) bool {
	switch {
	case m.password == "":
		return len(proof) == 0
	case m.plugin == nativePassword && len(proof) == sha1.Size:
		once := sha1.Sum([]byte(m.password))
		stored := sha1.Sum(once[:])
		mask := sha1.Sum([]byte(mysqlNonce + string(stored[:])))
		again := sha1.Sum(xor(proof, mask[:]))
		return again == stored
	case m.plugin == cachingSHA2 && len(proof) == sha256.Size:
		once := sha256.Sum256([]byte(m.password))
		stored := sha256.Sum256(once[:])
		mask := sha256.Sum256([]byte(string(stored[:]) + mysqlNonce))
		again := sha256.Sum256(xor(proof, mask[:]))
		return again == stored
	}
	return false
}

// fully asks for the whole password.
func (m mysqlServer) fully(conn net.Conn, sequence byte) (byte, bool, error) {
	_, _ = io.WriteString(conn, mysqlFrame(sequence+1, "\x01\x04"))
	sequence, data, err := mysqlTakes(conn)
	if err != nil {
		return 0, false, err
	}
	if m.tls {
		return sequence, string(data) == m.password+"\x00", nil
	}
	if string(data) != "\x02" {
		return 0, false, fmt.Errorf("%q came, want a request for the key", data)
	}
	der, err := x509.MarshalPKIXPublicKey(m.key.Public())
	if err != nil {
		return 0, false, err
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	_, _ = io.WriteString(conn, mysqlFrame(sequence+1, "\x01"+string(public)))
	if sequence, data, err = mysqlTakes(conn); err != nil {
		return 0, false, err
	}
	open, err := rsa.DecryptOAEP(sha1.New(), nil, m.key, data, nil)
	return sequence, err == nil && bytes.Equal(xor(open, []byte(mysqlNonce)), []byte(m.password+"\x00")), nil
}

func TestMySQLLogin(t *testing.T) {
	noLeak(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	const denied = "MySQL error 1045: Access denied for user 'monitor'"
	replies := map[string]string{
		comPing:              mysqlFrame(1, "\x00\x00\x00\x02\x00\x00\x00"),
		comQuery + "one":     mysqlFrame(1, "\x01") + mysqlFrame(2, "\x03def") + mysqlFrame(3, "\xfe\x00\x00\x02\x00") + mysqlFrame(4, "\x011") + mysqlFrame(5, "\xfe\x00\x00\x02\x00"),
		comQuery + "none":    mysqlFrame(1, "\x01") + mysqlFrame(2, "\x03def") + mysqlFrame(3, "\xfe\x00\x00\x02\x00") + mysqlFrame(4, "\xfe\x00\x00\x02\x00"),
		comQuery + "nothing": mysqlFrame(1, "\x00\x00\x00\x02\x00\x00\x00"),
		comQuery + "wrong":   mysqlFrame(1, "\xff\x7a\x04#42S02Table 'x' doesn't exist"),
	}
	monitor := MySQL{User: "monitor", Password: NewSecret("hunter2")}
	with := func(query string) MySQL { return MySQL{User: "monitor", Password: NewSecret("hunter2"), Query: query} }
	secure := MySQL{User: "monitor", Password: NewSecret("hunter2"), Encryption: StartTLS}
	verified := secure
	verified.TLS.Verify = VerifyAlways
	tests := []struct {
		name   string
		server mysqlServer
		probe  MySQL
		want   string
	}{
		{"native", mysqlServer{plugin: nativePassword, password: "hunter2"}, monitor, ""},
		{"native, wrong", mysqlServer{plugin: nativePassword, password: "hunter3"}, monitor, denied},
		{"no password", mysqlServer{plugin: nativePassword}, MySQL{User: "monitor"}, ""},
		{"password is missing", mysqlServer{plugin: nativePassword, password: "x"}, MySQL{User: "monitor"}, denied},
		{"stranger", mysqlServer{plugin: nativePassword, password: "x"}, MySQL{}, ""},
		{"stranger, sha2", mysqlServer{plugin: cachingSHA2, password: "x"}, MySQL{}, ""},
		{"sha2", mysqlServer{plugin: cachingSHA2, password: "hunter2"}, monitor, ""},
		{"sha2, wrong", mysqlServer{plugin: cachingSHA2, password: "hunter3"}, monitor, denied},
		{"sha2, by key", mysqlServer{plugin: cachingSHA2, password: "hunter2", full: true, key: key}, monitor, ""},
		{"sha2, by tls", mysqlServer{plugin: cachingSHA2, password: "hunter2", full: true, tls: true}, secure, ""},
		{"another plugin", mysqlServer{plugin: nativePassword, first: cachingSHA2, password: "hunter2"}, monitor, ""},
		{"yet another", mysqlServer{plugin: cachingSHA2, first: nativePassword, password: "hunter2"}, monitor, ""},
		{"unknown plugin", mysqlServer{plugin: "unix_socket", first: nativePassword, password: "x"}, monitor, denied + " (wanted is unix_socket, possible are mysql_native_password and caching_sha2_password)"},
		{"ed25519", mysqlServer{plugin: clientEd25519, first: nativePassword, password: "x"}, monitor, denied + " (wanted is client_ed25519, possible are mysql_native_password and caching_sha2_password)"},
		{"ed25519, stranger", mysqlServer{plugin: clientEd25519, first: nativePassword, password: "x"}, MySQL{}, ""},
		{"no tls", mysqlServer{plugin: nativePassword, password: "x"}, secure, "MySQL server does not offer TLS"},
		{"unknown plugin, stranger", mysqlServer{plugin: "unix_socket", first: nativePassword, password: "x"}, MySQL{}, ""},
		{"tls, unverified", mysqlServer{plugin: nativePassword, password: "hunter2", tls: true}, verified, "certificate is for no host, wanted 127.0.0.1"},
		{"tls", mysqlServer{plugin: nativePassword, password: "hunter2", tls: true}, secure, ""},
		{"row", mysqlServer{plugin: nativePassword, password: "hunter2"}, with("one"), ""},
		{"no row", mysqlServer{plugin: nativePassword, password: "hunter2"}, with("none"), "MySQL query returned no row"},
		{"no columns", mysqlServer{plugin: nativePassword, password: "hunter2"}, with("nothing"), "MySQL query returned no row"},
		{"no table", mysqlServer{plugin: nativePassword, password: "hunter2"}, with("wrong"), "MySQL error 1146: Table 'x' doesn't exist"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.server.replies = replies
			wantError(t, check(t, probeSpec(test.probe, serve(t, test.server.serve(t)), patience)), test.want)
		})
	}
}

// TestMySQLGreeting has greetings that lead to no login.
func TestMySQLGreeting(t *testing.T) {
	noLeak(t)
	tests := []struct {
		name, greeting string
		probe          MySQL
		want           string
	}{
		{"blocked", mysqlFrame(0, "\xff\x69\x04Host '192.0.2.1' is blocked because of many connection errors"), MySQL{}, "MySQL error 1129: Host '192.0.2.1' is blocked because of many connection errors"},
		{"too many", mysqlFrame(0, "\xff\x10\x04#08004Too many connections"), MySQL{}, "MySQL error 1040: Too many connections"},
		{"version 9", mysqlFrame(0, "\x093.22\x00"), MySQL{}, `not MySQL: "?3.22?"`},
		{"cut off", mysqlFrame(0, "\x0a8.0\x00\x01"), MySQL{}, "MySQL greeting cut off"},
		{"cut off later", mysqlFrame(0, "\x0a8.0\x00\x01\x02\x03\x04abcdefgh\x00\x00\x82\x21"), MySQL{}, "MySQL greeting cut off"},
		{"old", mysqlFrame(0, "\x0a4.0\x00\x01\x02\x03\x04abcdefgh\x00\x00\x00"), MySQL{}, "MySQL 4.0 is older than 4.1"},
		{"error cut off", mysqlFrame(0, "\xff\x69"), MySQL{}, "MySQL error packet cut off"},
		{"nothing", mysqlFrame(0, ""), MySQL{}, "not MySQL: an empty packet"},
		{"login unanswered", mysqlGreets(nativePassword, 0), MySQL{}, "connection closed before the MySQL reply to the login"},
		{"garbage", mysqlGreets(nativePassword, 0) + mysqlFrame(2, "hello"), MySQL{}, `not MySQL: "hello" after the login`},
		{"old password", mysqlGreets(nativePassword, 0) + mysqlFrame(2, "\xfe"), MySQL{}, "MySQL server wants a password in the form from before 4.1"},
		{"a question", mysqlGreets(nativePassword, 0) + mysqlFrame(2, "\xfedialog\x00\x04Password: ") + mysqlFrame(4, "\x04Password: ") + mysqlFrame(6, "\xff\x15\x04#28000Access denied"), MySQL{User: "u"},
			"MySQL error 1045: Access denied (wanted is dialog, possible are mysql_native_password and caching_sha2_password)"},
		{"no key", mysqlGreets(cachingSHA2, 0) + mysqlFrame(2, "\x01\x04") + mysqlFrame(4, "\x01key"), MySQL{User: "u", Password: NewSecret("p")}, "MySQL login: public key of the server is not in PEM"},
		{"for ever", mysqlGreets(cachingSHA2, 0) + strings.Repeat(mysqlFrame(2, "\x01\x03"), 20), MySQL{}, "MySQL login of more than 8 rounds"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			target := serve(t, func(conn net.Conn) {
				_ = conn.SetDeadline(time.Now().Add(patience))
				_, _ = io.WriteString(conn, test.greeting)
				_ = conn.(*net.TCPConn).CloseWrite()
				_, _ = io.Copy(io.Discard, conn)
			})
			wantError(t, check(t, probeSpec(test.probe, target, patience)), test.want)
		})
	}
}

// The proof of caching_sha2_password, against values of other programs.
func TestSHA2Proof(t *testing.T) {
	nonce := []byte{10, 47, 74, 111, 75, 73, 34, 48, 88, 76, 114, 74, 37, 13, 3, 80, 82, 2, 23, 21}
	tests := map[string]string{
		"secret":  "f490e76f66d9d86665ce54d98c78d0acfe2fb0b08b423da807144873d30b312c",
		"secret2": "abc3934a012cf342e876071c8ee202de51785b430258a7a0138bc79c4d800bc6",
	}
	for password, want := range tests {
		if got := base16.EncodeToString(sha2Proof(password, nonce)); got != want {
			t.Errorf("proof of %q is %s, want %s", password, got, want)
		}
	}
}

// FuzzMySQLGreeting reads greetings of any kind.
func FuzzMySQLGreeting(f *testing.F) {
	f.Add([]byte(mysqlGreets(nativePassword, mysqlSSL)[4:]))
	f.Add([]byte("\x0a4.0\x00\x01\x02\x03\x04abcdefgh\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		greeting, err := parseMySQLGreeting(data)
		if err == nil && (len(greeting.nonce) < 8 || len(greeting.nonce) > 20) {
			t.Errorf("nonce %x", greeting.nonce)
		}
		if len(data) > 0 {
			wantReadable(t, parseMySQLError(data))
		}
	})
}
