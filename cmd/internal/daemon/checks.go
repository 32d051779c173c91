package daemon

import (
	"sync/atomic"

	"bascule/checker"
	"bascule/cmd/internal/config"
	"bascule/lvs"
)

// audience says which real servers a check decides about. One probe serves
// all that have the same target and parameters.
type audience map[checker.Spec][]lvs.RealServerKey

// newAudience returns the audience of every check of a configuration.
func newAudience(node *config.Node) audience {
	a := make(audience)
	for _, vs := range node.VirtualServers {
		for address, spec := range vs.Checks {
			a[spec] = append(a[spec], lvs.RealServerKey{Service: vs.ServiceKey, Address: address})
		}
	}
	return a
}

// specs returns the checks to run.
func (a audience) specs() []checker.Spec {
	specs := make([]checker.Spec, 0, len(a))
	for s := range a {
		specs = append(specs, s)
	}
	return specs
}

// fanOut passes the verdicts of checks on to the real servers they are about.
type fanOut struct {
	audience atomic.Pointer[audience]
	tell     func(lvs.RealServerKey, lvs.Fact)
}

// report is the checker.Report of the pool. Before its first verdict a check
// has nothing to say about membership.
func (f *fanOut) report(spec checker.Spec, state checker.State, reason string) {
	if state == checker.Unknown {
		return
	}
	if state == checker.Healthy {
		reason = "check passed"
	}
	for _, key := range (*f.audience.Load())[spec] {
		f.tell(key, lvs.Fact{Healthy: state == checker.Healthy, Reason: reason})
	}
}
