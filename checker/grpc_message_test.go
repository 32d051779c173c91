package checker

import (
	"bytes"
	"strings"
	"testing"
)

func TestGRPCRequest(t *testing.T) {
	long := strings.Repeat("x", 200)
	for service, want := range map[string]string{
		"":    "\x00\x00\x00\x00\x00",
		"a.B": "\x00\x00\x00\x00\x05\x0a\x03a.B",
		long:  "\x00\x00\x00\x00\xcb\x0a\xc8\x01" + long,
	} {
		if got := grpcRequest(service); string(got) != want {
			t.Errorf("request for %q: %q, want %q", service, got, want)
		}
	}
}

func TestGRPCHealth(t *testing.T) {
	const bad = "gRPC message is no HealthCheckResponse"
	tests := []struct {
		name, message string
		want          uint64
		err           string
	}{
		{"nothing", "", 0, ""},
		{"status", "\x08\x01", 1, ""},
		{"the last of two", "\x08\x01\x08\x02", 2, ""},
		{"a long number", "\x08\x80\x01", 128, ""},
		{"unknown fields", "\x10\x07\x19abcdefgh\x22\x03abc\x2dabcd\x08\x01", 1, ""},
		{"field 1 of another type", "\x0a\x01x", 0, ""},
		{"no value", "\x08", 0, bad},
		{"a number too long", "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 0, bad},
		{"field 0", "\x00\x01", 0, bad},
		{"a group", "\x0b\x0c", 0, bad},
		{"bytes cut off", "\x22\x03ab", 0, bad},
		{"bytes without an end", "\x22\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 0, bad},
		{"64 bits cut off", "\x19abc", 0, bad},
		{"32 bits cut off", "\x2dabc", 0, bad},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := grpcHealth([]byte(test.message))
			wantError(t, err, test.err)
			if got != test.want {
				t.Errorf("status %d, want %d", got, test.want)
			}
		})
	}
}

func TestGRPCStatusName(t *testing.T) {
	for status, want := range map[string]string{
		"0": "OK", "16": "UNAUTHENTICATED", "17": `status "17"`, "-1": `status "-1"`, "x\ny": `status "x"`,
	} {
		if got := grpcStatusName(status); got != want {
			t.Errorf("%q is %s, want %s", status, got, want)
		}
	}
}

// A message may be anything. What counts of it is its last status: whatever
// was before, another one behind it decides.
func FuzzGRPCHealth(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x00\x02\x08\x01"))
	f.Add([]byte("\x00\x00\x00\x00\x00"))
	f.Add([]byte("\x00\x00\x00\x00\x05\x22\x03abc"))
	f.Fuzz(func(t *testing.T, body []byte) {
		message, err := grpcMessage(body)
		if err != nil {
			return
		}
		if _, err := grpcHealth(message); err != nil {
			return
		}
		more := append(bytes.Clone(message), "\x08\x01"...)
		if health, err := grpcHealth(more); err != nil || health != grpcServing {
			t.Errorf("%q: status %d, error %v, want SERVING", more, health, err)
		}
	})
}
