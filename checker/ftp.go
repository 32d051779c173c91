package checker

// FTP succeeds when a server greets with 220 and, with User, lets it log in.
type FTP struct {
	User     string // empty: no login
	Password Secret
}

// Kind returns "ftp".
func (FTP) Kind() string { return "ftp" }

// Validate says what is wrong with the parameters.
func (p FTP) Validate() error { return validateLogin(p.User, p.Password) }

// checker returns the probe of one target.
func (p FTP) checker(to endpoint) (Checker, error) {
	return newDialogue(to, "FTP", Plain, TLSOptions{}, p.Password, p.talk)
}

// talk is the conversation.
func (p FTP) talk(s *conversation) error {
	err := p.session(s)
	s.part("QUIT\r\n")
	return err
}

// session is the conversation up to the goodbye.
func (p FTP) session(s *conversation) error {
	if _, err := s.want("", 220); err != nil || p.User == "" {
		return err
	}
	code, err := s.command("USER "+p.User, 230, 331)
	if err != nil || code == 230 { // no password is needed
		return err
	}
	_, err = s.command("PASS "+p.Password.text(), 230)
	return err
}
