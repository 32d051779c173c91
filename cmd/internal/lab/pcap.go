package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// The first four bytes of a file of captured packets, by the precision of its
// times (draft-ietf-opsawg-pcap section 4).
const (
	pcapMicroseconds = 0xa1b2c3d4
	pcapNanoseconds  = 0xa1b23c4d
)

// linkEthernet is the type of link whose packets are Ethernet frames.
const linkEthernet = 1

// maxFrame is more than the largest frame of a LAN without jumbo frames.
const maxFrame = 2048

// pcapReader reads what tcpdump(8) writes: captured Ethernet frames.
type pcapReader struct {
	r     io.Reader
	order binary.ByteOrder // of the machine that has written it
	tick  time.Duration    // of the fractions of a second
}

// newPCAPReader reads the header of a file or stream of captured packets.
func newPCAPReader(r io.Reader) (*pcapReader, error) {
	header := make([]byte, 24)
	if _, err := io.ReadFull(r, header); err != nil {
		return nil, fmt.Errorf("header of captured packets: %w", err)
	}
	p := &pcapReader{r: r}
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		switch order.Uint32(header) {
		case pcapMicroseconds:
			p.order, p.tick = order, time.Microsecond
		case pcapNanoseconds:
			p.order, p.tick = order, time.Nanosecond
		}
	}
	if p.order == nil {
		return nil, fmt.Errorf("captured packets begin with %x, want a pcap file's number", header[:4])
	}
	if link := p.order.Uint32(header[20:]) & 0xffff; link != linkEthernet {
		return nil, fmt.Errorf("captured packets are of link type %d, want %d (Ethernet)", link, linkEthernet)
	}
	return p, nil
}

// next returns the next frame and when the kernel saw it. The frame is valid
// until the next call. After the last one the error is io.EOF; the end of
// tcpdump amidst a packet is io.ErrUnexpectedEOF.
func (p *pcapReader) next(buffer []byte) (frame []byte, at time.Time, err error) {
	var header [16]byte
	if _, err := io.ReadFull(p.r, header[:]); err != nil {
		return nil, time.Time{}, err
	}
	captured := p.order.Uint32(header[8:])
	if captured > uint32(len(buffer)) {
		return nil, time.Time{}, fmt.Errorf("captured packet of %d bytes, want at most %d", captured, len(buffer))
	}
	frame = buffer[:captured]
	if _, err := io.ReadFull(p.r, frame); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, time.Time{}, err
	}
	seconds, fraction := p.order.Uint32(header[0:]), p.order.Uint32(header[4:])
	return frame, time.Unix(int64(seconds), 0).Add(time.Duration(fraction) * p.tick), nil
}
