package checker

import (
	"encoding/binary"
	"errors"
)

// Tags of BER that LDAP uses (X.690).
const (
	berInteger    = 0x02
	berBytes      = 0x04
	berEnumerated = 0x0a
	berBoolean    = 0x01
	berSequence   = 0x30
)

// berElement is a tag, a length and contents.
func berElement(tag byte, contents ...[]byte) []byte {
	size := 0
	for _, c := range contents {
		size += len(c)
	}
	out := []byte{tag}
	if size < 0x80 {
		out = append(out, byte(size))
	} else {
		out = binary.BigEndian.AppendUint32(append(out, 0x84), uint32(size))
	}
	for _, c := range contents {
		out = append(out, c...)
	}
	return out
}

// berText is a string of bytes under a tag.
func berText(tag byte, text string) []byte { return berElement(tag, []byte(text)) }

// berSmall is a number from 0 to 127 under a tag.
func berSmall(tag, value byte) []byte { return []byte{tag, 1, value} }

// errBER says that an element is not in the form of BER.
var errBER = errors.New("damaged BER")

// element takes an element, whose tag has one byte and whose length is known.
func (w *wire) element() (tag byte, contents []byte) {
	tag = w.uint8()
	length := int(w.uint8())
	if length >= 0x80 {
		count := length & 0x7f
		if count == 0 || count > 4 {
			w.rest, w.err = nil, errBER
			return 0, nil
		}
		length = 0
		for _, b := range w.bytes(count) {
			length = length<<8 | int(b)
		}
	}
	if w.err != nil || length > len(w.rest) {
		w.rest, w.err = nil, errBER
		return 0, nil
	}
	return tag, w.bytes(length)
}

// number takes a small number under a tag.
func (w *wire) number(want byte) int {
	tag, contents := w.element()
	if w.err != nil || tag != want || len(contents) == 0 || len(contents) > 4 {
		w.rest, w.err = nil, errBER
		return 0
	}
	value := int(int8(contents[0]))
	for _, b := range contents[1:] {
		value = value<<8 | int(b)
	}
	return value
}

// berPacket reads an element that is a sequence, and returns its contents.
func (s *conversation) berPacket() ([]byte, error) {
	header, err := s.packet(2)
	if err != nil {
		return nil, err
	}
	length := int(header[1])
	if header[0] != berSequence || length == 0x80 || length > 0x84 {
		return nil, s.foreign(header)
	}
	if length > 0x80 {
		digits, err := s.packet(length - 0x80)
		if err != nil {
			return nil, err
		}
		length = 0
		for _, b := range digits {
			length = length<<8 | int(b)
		}
	}
	return s.packet(length)
}
