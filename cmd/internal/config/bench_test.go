package config

import (
	"fmt"
	"strings"
	"testing"
)

// crowd returns a configuration of virtual servers with a hundred real servers
// each.
func crowd(services int) string {
	var b strings.Builder
	b.WriteString("nodes = [\"lb\"]\n")
	for s := range services {
		fmt.Fprintf(&b, "\n[virtual_server.s%[1]d]\naddress = \"192.168.56.10:%[2]d\"\nprotocol = \"tcp\"\nscheduler = \"rr\"\ncheck = { type = \"tcp\" }\n", s, 2000+s)
		for r := range 100 {
			fmt.Fprintf(&b, "\n[[virtual_server.s%d.real_server]]\naddress = \"10.0.%d.%d:80\"\nweight = 1\n", s, s%256, r+1)
		}
	}
	return b.String()
}

// BenchmarkLoad measures reading a configuration, for one director.
func BenchmarkLoad(b *testing.B) {
	for _, services := range []int{50, 370} {
		b.Run(fmt.Sprint(services*100), func(b *testing.B) {
			files := []File{{Name: "bascule.toml", Content: crowd(services)}}
			b.ReportAllocs()
			for b.Loop() {
				c, err := Parse(files)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := c.ForNode("lb"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
