package daemon

import (
	"log/slog"
	"math"
	"sync"
	"sync/atomic"

	"bascule/checker"
	"bascule/cmd/internal/config"
	"bascule/lvs"
)

// subject is a real server that a check decides about, and how.
type subject struct {
	key           lvs.RealServerKey
	condition     checker.Condition
	virtualServer string
	realServer    string // as configured
}

// audience says which real servers a check decides about. One probe serves
// all that have the same target and parameters.
type audience map[checker.Spec][]subject

// newAudience returns the audience of every check of a configuration.
func newAudience(node *config.Node) audience {
	a := make(audience)
	for _, vs := range node.VirtualServers {
		for address, condition := range vs.Checks {
			s := subject{vs.Key(address), condition, vs.Name, viewHost(address)}
			for _, spec := range condition.Specs() {
				a[spec] = append(a[spec], s)
			}
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

// fanOut passes the verdicts of checks on to the real servers they are about,
// and their warnings to the log.
type fanOut struct {
	log      *slog.Logger
	audience atomic.Pointer[audience]
	known    func(checker.Spec) checker.Known
	tell     func(lvs.RealServerKey, lvs.Fact)

	// What is told last has been found out last, and by the conditions of the
	// latest configuration: each check reports once more after a change.
	mu     sync.Mutex
	warned map[checker.Spec]*warning
}

// address makes the real servers of a configuration those that are told of its
// checks. It comes before Pool.Set, which lets all that is known be reported to
// them; what the conditions before that have found out is told before then.
func (f *fanOut) address(a audience) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.audience.Store(&a)
	for spec := range f.warned {
		if a[spec] == nil {
			delete(f.warned, spec)
		}
	}
}

// report is the checker.Report of the pool. Before there is a verdict there is
// nothing to say about membership.
func (f *fanOut) report(spec checker.Spec, known checker.Known) {
	f.mu.Lock()
	defer f.mu.Unlock()
	subjects := (*f.audience.Load())[spec]
	if subjects != nil {
		f.warn(spec, known.Advice.Warning)
	}
	for _, s := range subjects {
		if known := s.condition.Known(f.known); known.State != checker.Unknown {
			f.tell(s.key, newFact(known))
		}
	}
}

// newFact is what a real server's condition comes to, as the director takes it.
func newFact(known checker.Known) lvs.Fact {
	if known.State != checker.Healthy {
		return lvs.Fact{Reason: known.Reason}
	}
	fact := lvs.Fact{Healthy: true, Reason: "check passed", Advice: lvs.Advice{Drain: known.Advice.Drain}}
	for _, weight := range []checker.Weight{known.Advice.Weight, known.Advice.Also} {
		asked := &fact.Advice.Weight
		if weight.Percent {
			asked = &fact.Advice.Percent
		}
		if weight.Set {
			*asked = lvs.Asked{Set: true, Value: uint32(max(0, min(weight.Value, math.MaxUint32)))}
		}
	}
	return fact
}
