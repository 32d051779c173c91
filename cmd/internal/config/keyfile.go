package config

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"bascule/vrrp"
)

// How long a secret is, in bytes, and how long a whole file.
const (
	minSecret  = 16
	maxSecret  = 128
	maxKeyFile = 1 << 20
)

// KeyFile is where the keys of a group are.
type KeyFile struct {
	Group string
	Path  string
	at    place
}

// ReadKeys reads the key files of all groups and the password files of all
// checks, and puts what is in them where it belongs. A non-nil error is of type Errors: a file that others than root and
// uid, the user of the daemon, could have read or written, one that is
// malformed, or one without the key that is to sign. No error repeats a
// secret.
func (n *Node) ReadKeys(uid int) error {
	errs := n.readSecrets(uid)
	for _, file := range n.KeyFiles {
		keys, mistakes := file.read(uid)
		errs = append(errs, mistakes...)
		if len(mistakes) > 0 {
			continue
		}
		if auth := n.authOf(file.Group); auth != nil {
			auth.Keys = keys
			errs = append(errs, file.lacks(auth)...)
		}
	}
	if len(errs) > 0 {
		return errs
	}
	return nil
}

// authOf returns the authentication of a group, which all of its routers
// share.
func (n *Node) authOf(group string) *vrrp.Auth {
	for _, g := range n.Groups {
		if g.Name == group && len(g.Routers) > 0 {
			return g.Routers[0].Auth
		}
	}
	return nil
}

// lacks reports the absence of the key that is to sign.
func (f KeyFile) lacks(auth *vrrp.Auth) Errors {
	var ids []string
	for _, key := range auth.Keys {
		if key.ID == auth.Active {
			return nil
		}
		ids = append(ids, strconv.Itoa(int(key.ID)))
	}
	return f.mistake("has no key %d, which active_key names: there are %s", auth.Active, strings.Join(ids, ", "))
}

// mistake is an error about the file as a whole, at the place that names it.
func (f KeyFile) mistake(format string, args ...any) Errors {
	return Errors{{File: f.at.file, Line: f.at.line, Key: f.at.key, Message: f.Path + " " + fmt.Sprintf(format, args...)}}
}

// read reads the keys.
func (f KeyFile) read(uid int) ([]vrrp.Key, Errors) {
	file, mistakes := f.open(uid)
	if mistakes != nil {
		return nil, mistakes
	}
	defer file.Close()
	return parseKeys(f.Path, io.LimitReader(file, maxKeyFile))
}

// open opens a file that nobody else may have read or written. It is judged
// after it has been opened, so that it is the one that is read, whatever is
// done to its name meanwhile.
func (f KeyFile) open(uid int) (*os.File, Errors) {
	// A pipe must not keep the daemon waiting before it is refused.
	file, err := os.OpenFile(f.Path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, f.unreadable(err)
	}
	info, err := file.Stat()
	mistakes := Errors(nil)
	if err != nil {
		mistakes = f.unreadable(err)
	} else {
		mistakes = f.judge(info, uid)
	}
	if mistakes != nil {
		_ = file.Close()
		return nil, mistakes
	}
	return file, nil
}

// unreadable is the error of a file that cannot be read, with the reason if the
// unit is it.
func (f KeyFile) unreadable(err error) Errors {
	message := unreadable(f.Path, err).Message
	if hint := hiddenFromUnit(f.Path); hint != "" {
		message += " (" + hint + ")"
	}
	return f.mistake("cannot be read: %s", message)
}

// hiddenFromUnit says that bascule.service does not see a file; "" if it does.
func hiddenFromUnit(path string) string {
	return hiddenFrom(path, "/etc/bascule")
}

// hiddenFrom is hiddenFromUnit for a file that has its place elsewhere.
// The unit has other directories in these places (ProtectHome=, PrivateTmp=).
func hiddenFrom(path, better string) string {
	for _, directory := range []string{"/home", "/root", "/run/user", "/tmp", "/var/tmp"} {
		if strings.HasPrefix(filepath.Clean(path), directory+"/") {
			return "bascule.service does not see what is in " + directory + ": " + better + " is the place for it"
		}
	}
	return ""
}

// judge refuses a file that somebody else may have read or written.
func (f KeyFile) judge(info os.FileInfo, uid int) Errors {
	const special = os.ModeSetuid | os.ModeSetgid | os.ModeSticky
	owner := -1
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		owner = int(stat.Uid)
	}
	mode := info.Mode()
	switch {
	case !mode.IsRegular():
		return f.mistake("is no regular file")
	case owner != 0 && owner != uid:
		return f.mistake("belongs to user %d, who is neither root nor the user of the daemon: chown root %s", owner, f.Path)
	case mode&special != 0, mode.Perm() != 0o600 && mode.Perm() != 0o400:
		return f.mistake("has mode %#o, and only its owner may have access to secrets (0600 or 0400): chmod 600 %s, and replace what others may have read",
			mode.Perm(), f.Path)
	}
	return nil
}

// parseKeys reads the text of a key file: a key a line, and comments.
func parseKeys(path string, text io.Reader) (keys []vrrp.Key, errs Errors) {
	fail := func(line int, format string, args ...any) {
		errs = append(errs, Error{File: path, Line: line, Message: fmt.Sprintf(format, args...)})
	}
	first := map[uint8]int{}
	lines := bufio.NewScanner(text)
	number := 0
	for lines.Scan() {
		number++
		line, _, _ := strings.Cut(lines.Text(), "#")
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		key, err := parseKey(fields)
		switch at, twice := first[key.ID]; {
		case err != nil:
			fail(number, "%v", err)
		case twice:
			fail(number, "key %d is given twice: also at line %d", key.ID, at)
		case slices.ContainsFunc(keys, func(k vrrp.Key) bool { return string(k.Secret) == string(key.Secret) }):
			fail(number, "key %d has the secret of another key: a key that replaces another needs a secret of its own", key.ID)
		default:
			first[key.ID] = number
			keys = append(keys, key)
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		fail(number+1, "the line is too long for a key")
	case err != nil:
		fail(number+1, "%v", err)
	case len(keys) == 0 && len(errs) == 0:
		errs = Errors{{File: path, Message: "has no keys: a line such as that of \"echo 1 $(openssl rand -hex 32)\" is wanted"}}
	}
	return keys, errs
}

// parseKey reads the words of one line. Its errors say nothing of the secret,
// and nothing of a word that may be one.
func parseKey(words []string) (vrrp.Key, error) {
	const rule = "an identifier from 1 to 255 and, after a space, the secret in hexadecimal are wanted"
	if len(words) != 2 {
		return vrrp.Key{}, fmt.Errorf("has %d words: %s", len(words), rule)
	}
	id, err := strconv.ParseUint(words[0], 10, 8)
	if err != nil || id == 0 {
		return vrrp.Key{}, errors.New("does not begin with the identifier of a key: " + rule)
	}
	secret, err := hex.DecodeString(words[1])
	switch {
	case err != nil:
		return vrrp.Key{}, fmt.Errorf("the secret of key %d is not an even number of hexadecimal digits", id)
	case len(secret) < minSecret || len(secret) > maxSecret:
		return vrrp.Key{}, fmt.Errorf("the secret of key %d has %d bytes: %d to %d, which are %d to %d hexadecimal digits",
			id, len(secret), minSecret, maxSecret, 2*minSecret, 2*maxSecret)
	}
	return vrrp.Key{ID: uint8(id), Secret: secret}, nil
}
