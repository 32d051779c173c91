package config

import (
	"fmt"
	"strings"
	"testing"
)

// A host is what can follow "Host:" in a request: a name or an address, with
// or without a port.
func TestHost(t *testing.T) {
	const text = "nodes = [\"a\"]\n[virtual_server.v]\naddress = \"192.0.2.1:80\"\ncheck = { type = \"http\", host = %q }\n" +
		"real_server = [{ address = \"198.51.100.1:80\" }]\n"
	good := []string{
		"", "www", "www.example.org", "www.example.org:8080", "a_b-c.d", "192.0.2.1", "192.0.2.1:1",
		"[2001:db8::1]", "[2001:db8::1]:65535",
	}
	for _, host := range good {
		if _, err := Parse([]File{{"bascule.toml", fmt.Sprintf(text, host)}}); err != nil {
			t.Errorf("%q: %v", host, err)
		}
	}
	bad := []string{
		"[", "]", "[]", "a:b:c", "a:b", "a|b", ":80", ":", "a:", "a:0", "a:65536", "a:-1", "a:+1", "a b", "a,b", "2001:db8::1",
		"[192.0.2.1]", "[fe80::1%eth0]", "[2001:db8::1", "2001:db8::1]", "[2001:db8::1]80", "[[::1]]", "x[::1]", "é",
	}
	for _, host := range bad {
		_, err := Parse([]File{{"bascule.toml", fmt.Sprintf(text, host)}})
		if err == nil || !strings.HasPrefix(err.Error(), "bascule.toml:4: virtual_server.v.check.host: ") {
			t.Errorf("%q: got %v, want an error", host, err)
		}
	}
}
