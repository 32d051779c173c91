package daemon

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"bascule/checker"
	"bascule/cmd/internal/control"
)

// findings is what there is to read of a pool of checks.
type findings interface {
	Known(spec checker.Spec) checker.Known
	Since(spec checker.Spec) time.Time
	History(spec checker.Spec) []checker.Past
}

// viewChecks returns the checks that match a request, sorted by target, kind
// and parameters.
func viewChecks(a *audience, pool findings, request control.ChecksRequest) iter.Seq[control.Check] {
	return func(yield func(control.Check) bool) {
		if a == nil {
			return
		}
		for _, spec := range slices.SortedFunc(maps.Keys(*a), compareSpecs) {
			if !matches(spec, (*a)[spec], request.Match) {
				continue
			}
			if !yield(viewCheck(spec, (*a)[spec], pool, request.Results)) {
				return
			}
		}
	}
}

// compareSpecs puts checks in an order that people find something in.
func compareSpecs(a, b checker.Spec) int {
	if order := cmp.Or(a.Target.Compare(b.Target), cmp.Compare(a.Probe.Kind(), b.Probe.Kind())); order != 0 {
		return order
	}
	return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)) // slow, and rare
}

// matches says whether a check is one of those that are asked for.
func matches(spec checker.Spec, subjects []subject, wanted []string) bool {
	if len(wanted) == 0 {
		return true
	}
	return slices.ContainsFunc(wanted, func(word string) bool {
		return word == spec.Probe.Kind() || word == viewHost(spec.Target) || word == spec.Target.Addr().String() ||
			slices.ContainsFunc(subjects, func(s subject) bool { return word == s.virtualServer })
	})
}

// viewCheck turns one check into what control shows.
func viewCheck(spec checker.Spec, subjects []subject, pool findings, results bool) control.Check {
	known := pool.Known(spec)
	v := control.Check{
		Name: spec.Name(), Kind: spec.Probe.Kind(), Target: viewHost(spec.Target), Way: viewVia(spec.Via),
		Parameters: parameters(reflect.ValueOf(spec.Probe)), Interval: spec.Interval.String(), Timeout: spec.Timeout.String(),
		Users: make([]control.CheckUser, 0, len(subjects)),
		State: known.State.String(), Reason: known.Reason,
		Weight: viewWeight(known.Advice), Drain: known.Advice.Drain, Warning: known.Advice.Warning,
	}
	for _, s := range subjects {
		v.Users = append(v.Users, control.CheckUser{VirtualServer: s.virtualServer, RealServer: s.realServer})
	}
	slices.SortFunc(v.Users, func(a, b control.CheckUser) int {
		return cmp.Or(cmp.Compare(a.VirtualServer, b.VirtualServer), cmp.Compare(a.RealServer, b.RealServer))
	})
	if since := pool.Since(spec); !since.IsZero() {
		v.Since = &since
	}
	if !results {
		return v
	}
	v.Results = []control.CheckResult{}
	for _, past := range pool.History(spec) {
		v.Results = append(v.Results, control.CheckResult{
			Start: past.Start, Duration: past.Duration.Seconds(), Good: past.Reason == "", Verdict: !past.Blind,
			Reason: past.Reason, State: past.State.String(), Changed: past.Changed,
		})
	}
	return v
}

// viewVia is the way to a target in words, "" if that is left to the routes.
func viewVia(via checker.Via) string {
	var words []string
	if via.Source.IsValid() {
		words = append(words, "from "+via.Source.String())
	}
	if via.Device != "" {
		words = append(words, "through "+via.Device)
	}
	if via.Mark != 0 {
		words = append(words, "with mark "+strconv.FormatUint(uint64(via.Mark), 10))
	}
	if via.Namespace != "" {
		words = append(words, "in namespace "+via.Namespace)
	}
	return strings.Join(words, " ")
}

// viewWeight is the weight that a target asks for, "" if it does not.
func viewWeight(advice checker.Advice) string {
	var words []string
	for _, weight := range []checker.Weight{advice.Weight, advice.Also} {
		switch {
		case weight.Set && weight.Percent:
			words = append(words, strconv.Itoa(weight.Value)+" %")
		case weight.Set:
			words = append(words, strconv.Itoa(weight.Value))
		}
	}
	return strings.Join(words, ", ")
}

// hidden are parameters that may have secrets in a form of their own.
var hidden = []string{"Env"}

// parameters says what a kind of check is to do, as far as that is not the zero
// value: "method GET path / status 200-399". Passwords hide themselves.
func parameters(probe reflect.Value) string {
	var words []string
	for i := range probe.NumField() {
		field, value := probe.Type().Field(i), probe.Field(i)
		if !field.IsExported() || value.IsZero() {
			continue
		}
		name := strings.ToLower(field.Name)
		switch content := value.Interface().(type) {
		case fmt.Stringer:
			words = append(words, name, content.String())
		case bool:
			words = append(words, name)
		default:
			switch {
			case slices.Contains(hidden, field.Name):
				words = append(words, name, "***")
			case value.Kind() == reflect.Struct:
				words = append(words, name, "("+parameters(value)+")")
			default:
				words = append(words, name, fmt.Sprint(content))
			}
		}
	}
	return strings.Join(words, " ")
}
