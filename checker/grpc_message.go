package checker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
)

// grpcPrefix is the length of what precedes a message: whether it is
// compressed, and its length in four bytes.
const grpcPrefix = 5

// Kinds of fields in the encoding of protocol buffers. Groups (3 and 4) occur
// in no message of this protocol.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireFixed32 = 5
)

// grpcRequest is a HealthCheckRequest with its prefix: field 1 is the name of
// the service.
func grpcRequest(service string) []byte {
	var message []byte
	if service != "" {
		message = append(message, 1<<3|wireBytes)
		message = binary.AppendUvarint(message, uint64(len(service)))
		message = append(message, service...)
	}
	framed := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message)))
	return append(framed, message...)
}

// grpcMessage is the one message of a body.
func grpcMessage(body []byte) ([]byte, error) {
	if len(body) < grpcPrefix {
		return nil, errors.New("gRPC reply without a message")
	}
	length, rest := binary.BigEndian.Uint32(body[1:grpcPrefix]), body[grpcPrefix:]
	switch {
	case body[0] != 0:
		return nil, errors.New("gRPC message is compressed, which the check has not offered")
	case uint64(length) > uint64(len(rest)):
		return nil, errors.New("gRPC message cut off")
	case uint64(length) < uint64(len(rest)):
		return nil, errors.New("more than one gRPC message")
	}
	return rest, nil
}

// errHealthReply is the verdict on a message that is no protocol buffer.
var errHealthReply = errors.New("gRPC message is no HealthCheckResponse")

// grpcHealth reads a HealthCheckResponse: field 1 is the status, 0 if it is
// not there, and the last one if there are several. Others are left out.
func grpcHealth(message []byte) (health uint64, err error) {
	for len(message) > 0 {
		tag, n := binary.Uvarint(message)
		if n <= 0 || tag>>3 == 0 {
			return 0, errHealthReply
		}
		message = message[n:]
		value, n := uint64(0), 0
		switch tag & 7 {
		case wireVarint:
			value, n = binary.Uvarint(message)
		case wireFixed64:
			n = 8
		case wireFixed32:
			n = 4
		case wireBytes:
			var length uint64
			if length, n = binary.Uvarint(message); length > uint64(len(message)) {
				return 0, errHealthReply
			}
			if n > 0 {
				n += int(length)
			}
		}
		if n <= 0 || n > len(message) {
			return 0, errHealthReply
		}
		if tag == 1<<3|wireVarint {
			health = value
		}
		message = message[n:]
	}
	return health, nil
}

// grpcServing is the status of a server that works.
const grpcServing = 1

// grpcHealthName is the name of a ServingStatus.
func grpcHealthName(health uint64) string {
	names := [...]string{"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"}
	if health < uint64(len(names)) {
		return names[health]
	}
	return fmt.Sprintf("health status %d", health)
}

// Statuses of a call that mean something to a health check.
const (
	grpcNotFound      = "5"
	grpcUnimplemented = "12"
)

// grpcStatusName is the name of the status of a call.
func grpcStatusName(status string) string {
	names := [...]string{
		"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
		"PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
		"INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
	}
	code, err := strconv.ParseUint(status, 10, 32)
	if err != nil || code >= uint64(len(names)) {
		return "status " + printed(status)
	}
	return names[code]
}
