package checker

// NNTP succeeds when a news server greets, whether posting is allowed (200) or
// not (201).
type NNTP struct {
	Encryption Encryption // "starttls", or "tls" for nntps
	TLS        TLSOptions // of the encryption
}

// Kind returns "nntp".
func (NNTP) Kind() string { return "nntp" }

// Validate says what is wrong with the parameters.
func (p NNTP) Validate() error { return p.Encryption.validate(p.TLS, TLSFirst, StartTLS) }

// checker returns the probe of one target.
func (p NNTP) checker(to endpoint) (Checker, error) {
	return newDialogue(to, "NNTP", p.Encryption, p.TLS, Secret{}, p.talk)
}

// talk is the conversation.
func (p NNTP) talk(s *conversation) error {
	_, err := s.want("", 200, 201)
	if err == nil {
		err = s.startTLS("STARTTLS", 382)
	}
	s.part("QUIT\r\n")
	return err
}
