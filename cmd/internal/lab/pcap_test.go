package lab

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pcapFile is a file of captured packets.
func pcapFile(order binary.AppendByteOrder, number, link uint32, at time.Time, fraction uint32, frame []byte) []byte {
	file := order.AppendUint32(nil, number)
	file = order.AppendUint16(order.AppendUint16(file, 2), 4)
	for _, word := range []uint32{0, 0, maxFrame, link, uint32(at.Unix()), fraction, uint32(len(frame)), uint32(len(frame))} {
		file = order.AppendUint32(file, word)
	}
	return append(file, frame...)
}

// TestPCAPReader reads files of both orders and precisions, and refuses what
// it cannot read.
func TestPCAPReader(t *testing.T) {
	t.Parallel()
	at := time.Unix(1700000000, 123456000)
	frame := []byte("any frame")
	tests := []struct {
		name string
		file []byte
		want string // the error; empty: the frame is read
	}{
		{"little endian, microseconds", pcapFile(binary.LittleEndian, pcapMicroseconds, linkEthernet, at, 123456, frame), ""},
		{"big endian, nanoseconds", pcapFile(binary.BigEndian, pcapNanoseconds, linkEthernet, at, 123456000, frame), ""},
		{"no capture", []byte(strings.Repeat("not pcap", 4)), "want a pcap file's number"},
		{"another link", pcapFile(binary.LittleEndian, pcapMicroseconds, 113, at, 0, frame), "link type 113, want 1"},
		{"nothing", nil, "header of captured packets: EOF"},
		{"a frame that is too long", pcapFile(binary.LittleEndian, pcapNanoseconds, linkEthernet, at, 0, make([]byte, maxFrame+1)), "2049 bytes, want at most 2048"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, when, err := readFirst(tt.file)
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error %v, want one with %q", err, tt.want)
				}
				return
			}
			if err != nil || !bytes.Equal(got, frame) || !when.Equal(at) {
				t.Errorf("%q at %v, %v; want %q at %v", got, when, err, frame, at)
			}
		})
	}
}

// readFirst reads the first frame of a file.
func readFirst(file []byte) ([]byte, time.Time, error) {
	p, err := newPCAPReader(bytes.NewReader(file))
	if err != nil {
		return nil, time.Time{}, err
	}
	return p.next(make([]byte, maxFrame))
}

// TestPCAPEnd tells the end of a file from one that was cut short, wherever.
func TestPCAPEnd(t *testing.T) {
	t.Parallel()
	const header, record = 24, 16
	file := pcapFile(binary.LittleEndian, pcapNanoseconds, linkEthernet, time.Unix(1, 0), 0, []byte("frame"))
	for n := header; n < len(file); n++ {
		want := io.ErrUnexpectedEOF
		if n == header {
			want = io.EOF
		}
		if _, _, err := readFirst(file[:n]); !errors.Is(err, want) {
			t.Errorf("%d bytes of %d: %v, want %v", n, len(file), err, want)
		}
	}
	p, err := newPCAPReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, maxFrame)
	if _, _, err := p.next(buffer); err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.next(buffer); !errors.Is(err, io.EOF) {
		t.Errorf("after the last frame: %v, want %v", err, io.EOF)
	}
}

// TestPCAPAsTcpdump has tcpdump read what pcapFile writes: both agree on the
// format.
func TestPCAPAsTcpdump(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "capture")
	file := pcapFile(binary.BigEndian, pcapNanoseconds, linkEthernet, time.Unix(1700000000, 0), 5, unhex(t, frameVRRP4))
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := output(exec.CommandContext(t.Context(), "tcpdump", "-n", "-tt", "-r", path))
	if err != nil || !strings.Contains(text, "1700000000.000000") || !strings.Contains(text, "VRRPv3, Advertisement, vrid 51, prio 100") {
		t.Errorf("tcpdump reads %q, %v", text, err)
	}
}

// FuzzPCAPReader looks for a panic, and for a frame longer than the buffer.
func FuzzPCAPReader(f *testing.F) {
	f.Add(pcapFile(binary.LittleEndian, pcapNanoseconds, linkEthernet, time.Unix(1, 0), 0, []byte("frame")))
	f.Add(pcapFile(binary.BigEndian, pcapMicroseconds, linkEthernet, time.Unix(1, 0), 0, nil))
	f.Fuzz(func(t *testing.T, file []byte) {
		if frame, _, err := readFirst(file); err == nil && len(frame) > len(file) {
			t.Errorf("%d bytes out of a file of %d", len(frame), len(file))
		}
	})
}
