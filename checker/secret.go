package checker

import "unique"

// Secret is a text that is not to be printed, such as a password. It is
// comparable by its text. The zero value is the empty text.
//
// It holds a handle instead of the text, because package fmt calls no String
// of a field that is not exported, however deep the Secret is in it.
type Secret struct{ handle unique.Handle[string] }

// NewSecret returns a text as a Secret.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{unique.Make(text)}
}

// text returns the text, for the wire only.
func (s Secret) text() string {
	if s == (Secret{}) {
		return ""
	}
	return s.handle.Value()
}

// String returns "***", or "" for the empty text.
func (s Secret) String() string {
	if s == (Secret{}) {
		return ""
	}
	return "***"
}

// GoString returns what String does.
func (s Secret) GoString() string { return `"` + s.String() + `"` }

// Equal is true if the texts are the same.
func (s Secret) Equal(other Secret) bool { return s == other }
