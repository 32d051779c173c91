//go:build ipvs

package director_test

import (
	"testing"

	"bascule/lvs"
)

// TestKernelAdvice has the kernel hold what checks advise, also after somebody
// else has changed it.
func TestKernelAdvice(t *testing.T) {
	d := onKernel(t)
	const address, vip = "127.0.0.1:8080", "127.0.0.9:80"
	config := www(address)
	config.Services[0].ServiceKey, config.RealServers[0].Weight = key(vip), 10
	d.Configure([]lvs.VirtualServerConfig{config}, nil)
	runOnKernel(t, d)
	service := "-A -t " + vip + " -s wrr"
	for _, step := range []struct {
		advice lvs.Advice
		weight string // in the kernel, "" if it is not there
	}{
		{lvs.Advice{}, "10"},
		{lvs.Advice{Percent: lvs.Asked{Set: true, Value: 55}}, "6"},
		{lvs.Advice{Weight: lvs.Asked{Set: true, Value: 70000}}, "65535"},
		{lvs.Advice{Weight: lvs.Asked{Set: true}}, "0"},
		{lvs.Advice{Drain: true}, ""},
		{lvs.Advice{}, "10"},
	} {
		want := []string{service}
		if step.weight != "" {
			want = append(want, "-a -t "+vip+" -r "+address+" -m -w "+step.weight)
		}
		d.Report(config.Key(netipAddress(address)), lvs.Fact{Healthy: true, Advice: step.advice})
		await(t, want...)
		if step.weight != "" {
			ipvsadm(t, "-e", "-t", vip, "-r", address, "-m", "-w", "77")
			await(t, want...)
		}
	}
}
