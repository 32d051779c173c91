package vrrp

// DropReason is why a received packet was not used: the value that tests
// compare, the label of a counter and the word in the log.
type DropReason uint8

// The reasons.
const (
	NotDropped      DropReason = iota
	DropTTL                    // RFC 9568 section 7.1: TTL or Hop Limit is not 255
	DropLength                 // section 7.1: not the complete message, or more than it
	DropVersion                // section 7.1: not the version that is configured
	DropType                   // section 7.1: not an advertisement
	DropChecksum               // section 7.1: wrong in both forms
	DropInterval               // section 5.2.7: an interval of zero; RFC 2338 section 7.1: not ours, in version 2
	DropVRID                   // section 7.1: no such virtual router on the interface
	DropDestination            // not sent to the group address, or to us in unicast mode
	DropOwnSource              // our own address as source: a loop, or a duplicate address
	DropOwner                  // section 7.1: we own the addresses
	DropInitialize             // section 6.4.1: nothing is heard in Initialize
	DropPeer                   // in unicast mode: the source is none of the peers
	DropPassword               // RFC 2338 section 7.1: another Auth Type or password, in version 2
	DropUnsigned               // no HMAC trailer although it is enforced
	DropKey                    // signed with a key that is not known
	DropSignature              // wrongly signed
	DropClock                  // signed at a time that is too far from ours
	DropReplay                 // signed before the last that was heard of the source
	DropDuplicate              // signed like the last that was heard of the source: the same once more
	dropReasons                // how many there are
)

// dropWords are the words of the reasons.
var dropWords = [dropReasons]string{
	"none", "ttl", "length", "version", "type", "checksum", "interval", "vrid",
	"destination", "own_source", "owner", "initialize", "peer", "password", "unsigned", "key", "signature",
	"clock", "replay", "duplicate",
}

// String returns the word for the reason.
func (d DropReason) String() string {
	if d >= dropReasons {
		return "invalid reason"
	}
	return dropWords[d]
}
