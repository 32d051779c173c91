package vrrp

// ChecksumForm says what the checksum of an IPv4 advertisement covers.
// Implementations disagree: RFC 9568 section 5.2.8 covers the message alone,
// keepalived and FRR cover a pseudo-header too. IPv6 always has one.
type ChecksumForm uint8

// The two forms. The zero value is what keepalived sends and demands.
const (
	ChecksumPseudoHeader ChecksumForm = iota
	ChecksumMessage
)

// String returns the word that the configuration and status use.
func (c ChecksumForm) String() string {
	if c == ChecksumMessage {
		return "message"
	}
	return "pseudo-header"
}
