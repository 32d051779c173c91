package checker

import (
	"crypto/md5"
	"encoding/binary"
	base16 "encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Kinds of authentication of PostgreSQL.
const (
	pgAuthOK        = 0
	pgAuthCleartext = 3
	pgAuthMD5       = 5
	pgAuthSASL      = 10
	pgAuthContinue  = 11
	pgAuthFinal     = 12
)

// scramSHA256 is the mechanism of SASL that PostgreSQL knows.
const scramSHA256 = "SCRAM-SHA-256"

// authenticate proves the password as the server asks.
func (p *pgChecker) authenticate(s *conversation, user string) error {
	login := pgLogin{pgChecker: p, conversation: s, user: user}
	for range maxRounds {
		kind, data, err := pgRead(s, "PostgreSQL reply to the login")
		if err != nil {
			return err
		}
		w := wire{rest: data}
		ask := w.big32()
		switch {
		case kind == 'N' || kind == 'v': // a notice
			continue
		case kind != 'R' || w.err != nil:
			return fmt.Errorf("not PostgreSQL: message %q in a login", kind)
		case ask == pgAuthOK && login.exchange != nil && !login.exchange.verified:
			return errors.New("PostgreSQL server does not prove that it knows the password")
		case ask == pgAuthOK:
			return nil
		case p.Password == (Secret{}):
			return errPasswordWanted
		}
		if err := login.answer(ask, &w); err != nil {
			return err
		}
	}
	return fmt.Errorf("PostgreSQL login of more than %d rounds", maxRounds)
}

// pgLogin is one login.
type pgLogin struct {
	*pgChecker
	*conversation
	user     string
	exchange *scram // nil, or begun
}

// answer answers a request for a proof of the password.
func (l *pgLogin) answer(ask uint32, w *wire) error {
	switch {
	case ask == pgAuthCleartext:
		return l.write(pgMessage('p', l.Password.text()+"\x00"))
	case ask == pgAuthMD5:
		return l.write(pgMessage('p', md5Proof(l.user, l.Password, w.bytes(4))+"\x00"))
	case ask == pgAuthSASL && l.exchange == nil:
		return l.begin(w.rest)
	case ask == pgAuthContinue && l.exchange != nil:
		proof, err := l.exchange.proof(string(w.rest))
		if err != nil {
			return err
		}
		return l.write(pgMessage('p', proof))
	case ask == pgAuthFinal && l.exchange != nil:
		return l.exchange.verify(string(w.rest))
	}
	return fmt.Errorf("PostgreSQL wants authentication %d: cleartext (3), MD5 (5) and SCRAM (10) are possible", ask)
}

// md5Proof is "md5" + MD5(MD5(password + user) + salt), in digits.
func md5Proof(user string, password Secret, salt []byte) string {
	inner := md5.Sum([]byte(password.text() + user))
	outer := md5.Sum(append([]byte(base16.EncodeToString(inner[:])), salt...))
	return "md5" + base16.EncodeToString(outer[:])
}

// begin chooses the mechanism of SASL and sends its first message.
func (l *pgLogin) begin(offered []byte) error {
	mechanisms := strings.Split(string(offered), "\x00")
	if !slices.Contains(mechanisms, scramSHA256) {
		return fmt.Errorf("PostgreSQL offers %q: %s is possible", l.plain(strings.Join(mechanisms, " ")), scramSHA256)
	}
	l.exchange = newSCRAM(l.Password, &l.salted)
	first := l.exchange.first()
	length := string(binary.BigEndian.AppendUint32(nil, uint32(len(first))))
	return l.write(pgMessage('p', scramSHA256+"\x00"+length+first))
}
