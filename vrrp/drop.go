package vrrp

// DropReason is why a received packet was not used: the value that tests
// compare, the label of a counter and the word in the log.
type DropReason uint8

// The reasons.
const (
	NotDropped      DropReason = iota
	DropTTL                    // RFC 9568 section 7.1: TTL or Hop Limit is not 255
	DropLength                 // section 7.1: not the complete message, or more than it
	DropVersion                // section 7.1: not version 3
	DropType                   // section 7.1: not an advertisement
	DropChecksum               // section 7.1: wrong in both forms
	DropInterval               // section 5.2.7: an interval of zero
	DropVRID                   // section 7.1: no such virtual router on the interface
	DropDestination            // not sent to the group address
	DropOwnSource              // our own address as source: a loop, or a duplicate address
	DropOwner                  // section 7.1: we own the addresses
	DropInitialize             // section 6.4.1: nothing is heard in Initialize
	dropReasons                // how many there are
)

// dropWords are the words of the reasons.
var dropWords = [dropReasons]string{
	"none", "ttl", "length", "version", "type", "checksum", "interval", "vrid",
	"destination", "own_source", "owner", "initialize",
}

// String returns the word for the reason.
func (d DropReason) String() string {
	if d >= dropReasons {
		return "invalid reason"
	}
	return dropWords[d]
}
