package vrrp

// State is the state of a virtual router (RFC 9568 section 6.3), shared by
// all members of a group.
type State uint8

// The states. A fault is Initialize with a reason.
const (
	Initialize State = iota
	Backup
	Active
)

// String returns "initialize", "backup" or "active".
func (s State) String() string {
	switch s {
	case Initialize:
		return "initialize"
	case Backup:
		return "backup"
	case Active:
		return "active"
	}
	return "invalid state"
}
