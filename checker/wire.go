package checker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// maxMessage bounds a packet of a binary protocol.
const maxMessage = 64 << 10

// errShort says that a packet ends too early.
var errShort = errors.New("packet cut off")

// packet reads n bytes.
func (s *conversation) packet(n int) ([]byte, error) {
	if n < 0 || n > maxMessage {
		return nil, fmt.Errorf("%s packet of %d bytes, more than %d KiB", s.protocol, n, maxMessage>>10)
	}
	data := make([]byte, n)
	if _, err := io.ReadFull(s.in, data); err != nil {
		return nil, err
	}
	return data, nil
}

// foreign says that what came is not of this protocol: how it begins.
func (s *conversation) foreign(header []byte) error {
	more, _ := s.in.Peek(min(s.in.Buffered(), maxQuoted))
	return fmt.Errorf("not %s: %q", s.protocol, s.plain(string(header)+string(more)))
}

// wire takes a packet apart. After the first read beyond its end all that it
// returns is zero, and err is set.
type wire struct {
	rest []byte
	err  error
}

// bytes takes n bytes.
func (w *wire) bytes(n int) []byte {
	if n < 0 || n > len(w.rest) {
		w.rest, w.err = nil, errShort
		return make([]byte, max(min(n, 8), 0)) // as many as the integers need
	}
	taken := w.rest[:n]
	w.rest = w.rest[n:]
	return taken
}

// uint8 takes a byte.
func (w *wire) uint8() byte { return w.bytes(1)[0] }

// little16 takes an integer, low byte first.
func (w *wire) little16() uint16 { return binary.LittleEndian.Uint16(w.bytes(2)) }

// big32 takes an integer, high byte first.
func (w *wire) big32() uint32 { return binary.BigEndian.Uint32(w.bytes(4)) }

// text takes a string that ends with a zero, or with the packet.
func (w *wire) text() string {
	for i, b := range w.rest {
		if b == 0 {
			text := string(w.rest[:i])
			w.rest = w.rest[i+1:]
			return text
		}
	}
	text := string(w.rest)
	w.rest = nil
	return text
}
