package director_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"bascule/lvs"
	"bascule/lvs/director"
	"bascule/lvs/ipvs/ipvstest"
)

// The sizes of the benchmarks: services of a hundred real servers each.
var benchServices = []int{50, 370}

// benchReal is how many real servers a service has.
const benchReal = 100

// benchConfig returns that many virtual servers. The real servers of the first
// one have a weight of their own.
func benchConfig(services int, weight uint32) []lvs.VirtualServerConfig {
	config := make([]lvs.VirtualServerConfig, services)
	for n := range config {
		config[n] = unchecked(benchReal)
		config[n].Name = fmt.Sprint("s", n)
		config[n].Services[0].Address = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(n >> 8), byte(n)}), 80)
	}
	config[0].RealServers[0].Weight = weight
	return config
}

// benchRun starts a director on a kernel, waits until the kernel holds a
// weight of the first real server, and returns how to stop it.
func benchRun(b *testing.B, kernel *watched, services int) (d *director.Director, stop func()) {
	b.Helper()
	d = director.New(func() (director.Kernel, error) { return kernel, nil }, slog.New(slog.DiscardHandler))
	d.Configure(benchConfig(services, 1), nil)
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	<-d.Ready()
	return d, func() {
		cancel()
		if err := <-ended; err != nil {
			b.Fatal(err)
		}
	}
}

// watched is a kernel that tells when the first real server of the first
// service is edited.
type watched struct {
	director.Kernel
	edited chan uint32 // its weight; nil: nobody is told
	added  chan int    // how many destinations are added or deleted; nil: nobody is told
}

// ApplyAll carries out operations.
func (w *watched) ApplyAll(ops []lvs.Op) []error {
	errs := w.Kernel.ApplyAll(ops)
	for _, op := range ops {
		if w.edited != nil && op.Kind == lvs.UpdateDestination {
			w.edited <- op.Destination.Weight
		}
	}
	if w.added != nil {
		w.added <- len(ops)
	}
	return errs
}

// Close keeps the kernel for the next director.
func (w *watched) Close() error { return nil }

// newWatched returns a kernel with an empty table.
func newWatched(b *testing.B) *watched {
	b.Helper()
	client, err := ipvstest.New().Dial()
	if err != nil {
		b.Fatal(err)
	}
	return &watched{Kernel: client}
}

// BenchmarkStart measures from the start to the first pass with all real
// servers in the kernel.
func BenchmarkStart(b *testing.B) {
	for _, services := range benchServices {
		b.Run(fmt.Sprint(services*benchReal), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, stop := benchRun(b, newWatched(b), services)
				stop()
			}
		})
	}
}

// BenchmarkChange measures from a configuration with one other weight to its
// edit.
func BenchmarkChange(b *testing.B) {
	for _, services := range benchServices {
		b.Run(fmt.Sprint(services*benchReal), func(b *testing.B) {
			kernel := newWatched(b)
			d, stop := benchRun(b, kernel, services)
			defer stop()
			kernel.edited = make(chan uint32)
			configs := [...][]lvs.VirtualServerConfig{benchConfig(services, 1), benchConfig(services, 2)}
			b.ReportAllocs()
			for n := 1; b.Loop(); n++ {
				d.Configure(configs[n%2], nil)
				if weight := <-kernel.edited; int(weight) != 1+n%2 {
					b.Fatalf("weight %d", weight)
				}
			}
		})
	}
}

// BenchmarkFacts measures from the first of one good check of each real server
// to the kernel with all of them.
func BenchmarkFacts(b *testing.B) {
	for _, services := range benchServices {
		b.Run(fmt.Sprint(services*benchReal), func(b *testing.B) {
			config := benchConfig(services, 1)
			for n := range config {
				for m := range config[n].RealServers {
					config[n].RealServers[m].Checked = true
				}
			}
			kernel := newWatched(b)
			d, stop := benchRun(b, kernel, services)
			defer stop()
			kernel.added = make(chan int, 1+len(config)*benchReal)
			b.ReportAllocs()
			for healthy := false; b.Loop(); healthy = !healthy {
				d.Configure(config, nil)
				for n := range config {
					for m := range config[n].RealServers {
						d.Report(config[n].Key(config[n].RealServers[m].Address), lvs.Fact{Healthy: healthy})
					}
				}
				for done := 0; done < len(config)*benchReal; {
					done += <-kernel.added
				}
			}
		})
	}
}

// BenchmarkQuiet measures the processor time of a director without anything
// to do, in a second of its life.
func BenchmarkQuiet(b *testing.B) {
	for _, services := range benchServices {
		b.Run(fmt.Sprint(services*benchReal), func(b *testing.B) {
			_, stop := benchRun(b, newWatched(b), services)
			defer stop()
			b.ReportAllocs()
			for b.Loop() {
				time.Sleep(time.Second)
			}
		})
	}
}
