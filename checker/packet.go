package checker

import "sync"

// maxPacket is how much is usually read of a packet: more than fits into one
// of Ethernet, and more than DNS has (RFC 1035, section 4.2.1: 512 bytes for
// a client that does not ask for more).
const maxPacket = 4096

// packetBuffers are for what is sent and received in one piece.
var packetBuffers = sync.Pool{New: func() any { return new([maxPacket]byte) }}
