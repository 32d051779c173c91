package config

import (
	"io"
	"strings"

	"bascule/checker"
)

// maxSecretFile bounds a file with one secret.
const maxSecretFile = 4 << 10

// secrets are what files of secrets contain, by path.
type secrets map[string]checker.Secret

// Secrets are files of passwords that checks need, and what needs them.
type Secrets struct {
	files   []KeyFile
	servers []server
}

// secretFiles are the files that a check needs, in the order of its keys.
func (c check) secretFiles() []KeyFile {
	var files []KeyFile
	c.each(func(leaf check) {
		for _, k := range leaf.kind.keys {
			if g, ok := leaf.values.given[k.name]; ok && strings.HasSuffix(k.name, "_file") {
				files = append(files, KeyFile{Path: g.value.(string), at: g.at})
			}
		}
	})
	return files
}

// secrets are the files that the checks of all real servers need, nil if there
// are none.
func (c *Configuration) secrets() *Secrets {
	s := &Secrets{servers: c.servers}
	seen := map[KeyFile]bool{}
	for _, vs := range c.servers {
		for _, rs := range vs.config.RealServers {
			for _, file := range vs.checks[rs.Address].secretFiles() {
				if !seen[file] {
					seen[file] = true
					s.files = append(s.files, file)
				}
			}
		}
	}
	if len(s.files) == 0 {
		return nil
	}
	return s
}

// readSecrets reads the files of secrets and puts what they contain where it
// belongs.
func (n *Node) readSecrets(uid int) Errors {
	if n.Secrets == nil {
		return nil
	}
	read := secrets{}
	var errs Errors
	for _, file := range n.Secrets.files {
		secret, mistakes := file.secret(uid)
		read[file.Path] = secret
		errs = append(errs, mistakes...)
	}
	if len(errs) > 0 {
		return errs
	}
	for i, s := range n.Secrets.servers {
		errs = append(errs, s.unfit(read)...)
		n.VirtualServers[i].Checks = s.conditions(n.Name, read)
	}
	return errs
}

// unfit reports secrets that are not what a check can have. No message of the
// checker repeats one.
func (s server) unfit(read secrets) (errs Errors) {
	for _, rs := range s.config.RealServers {
		s.checks[rs.Address].each(func(leaf check) {
			files := leaf.secretFiles()
			if len(files) == 0 {
				return
			}
			if err := leaf.probe(read).Validate(); err != nil {
				errs = append(errs, files[0].mistake("cannot be used for a check of type %q: %v", leaf.kind.name, err)...)
			}
		})
	}
	return errs
}

// secret reads a file with one secret, which is one line.
func (f KeyFile) secret(uid int) (checker.Secret, Errors) {
	file, mistakes := f.open(uid)
	if mistakes != nil {
		return checker.Secret{}, mistakes
	}
	defer func() { _ = file.Close() }()
	content, err := io.ReadAll(io.LimitReader(file, maxSecretFile+1))
	if err != nil {
		return checker.Secret{}, f.unreadable(err)
	}
	line := strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r")
	switch {
	case len(content) > maxSecretFile:
		return checker.Secret{}, f.mistake("has more than %d bytes: one line is wanted, and nothing else", maxSecretFile)
	case line == "":
		return checker.Secret{}, f.mistake("is empty: one line is wanted")
	case strings.ContainsAny(line, "\r\n\x00"):
		return checker.Secret{}, f.mistake("has several lines, or a NUL character: one line is wanted, and nothing else")
	}
	return checker.NewSecret(line), nil
}
