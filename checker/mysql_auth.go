package checker

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
)

// The ways of MySQL to prove a password.
const (
	nativePassword = "mysql_native_password"
	cachingSHA2    = "caching_sha2_password"
	clientEd25519  = "client_ed25519" // of MariaDB, which is answered and not known
)

// knownPlugin is true of a way that a probe can go.
func knownPlugin(plugin string) bool { return plugin == nativePassword || plugin == cachingSHA2 }

// mysqlProof answers the server's nonce in the way of a plugin. A plugin that
// is not known, or no password, has an answer of the right length, which the
// server refuses in words: another length would be a broken handshake, after
// some of which the server blocks the host. It may meet a stranger with the
// plugin of any of its users.
func mysqlProof(plugin string, password Secret, nonce []byte) []byte {
	switch {
	case plugin == clientEd25519:
		return make([]byte, ed25519.SignatureSize)
	case password == (Secret{}):
		return nil
	case plugin == nativePassword:
		return nativeProof(password.text(), nonce)
	case plugin == cachingSHA2:
		return sha2Proof(password.text(), nonce)
	}
	return nil
}

// nativeProof is SHA1(password) XOR SHA1(nonce + SHA1(SHA1(password))).
func nativeProof(password string, nonce []byte) []byte {
	once := sha1.Sum([]byte(password))
	twice := sha1.Sum(once[:])
	mask := sha1.Sum(append(append([]byte{}, nonce...), twice[:]...))
	return xor(once[:], mask[:])
}

// sha2Proof is SHA256(password) XOR SHA256(SHA256(SHA256(password)) + nonce).
func sha2Proof(password string, nonce []byte) []byte {
	once := sha256.Sum256([]byte(password))
	twice := sha256.Sum256(once[:])
	mask := sha256.Sum256(append(append([]byte{}, twice[:]...), nonce...))
	return xor(once[:], mask[:])
}

// xor combines a with b, again and again if that is shorter and not empty.
func xor(a, b []byte) []byte {
	out := make([]byte, len(a))
	for i := range a {
		out[i] = a[i] ^ b[i%len(b)]
	}
	return out
}

// sealPassword encrypts a password for the server's public key, masked with the
// nonce.
func sealPassword(password Secret, nonce, key []byte) ([]byte, error) {
	block, _ := pem.Decode(key)
	if block == nil || len(nonce) == 0 {
		return nil, errors.New("public key of the server is not in PEM")
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, errors.New("public key of the server is damaged")
	}
	public, ok := parsed.(*rsa.PublicKey)
	if !ok {
		return nil, errors.New("public key of the server is not for RSA")
	}
	return rsa.EncryptOAEP(sha1.New(), rand.Reader, public, xor(append([]byte(password.text()), 0), nonce), nil)
}
