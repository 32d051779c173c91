package worker

import (
	"fmt"
	"time"

	"bascule/checker"
)

// Known returns what is known of the target of a check; nothing if there is no
// such check.
func (p *Pool) Known(spec checker.Spec) checker.Known { return p.finding(spec).Known }

// Since returns when the probe began that has made the state of a check what it
// is; zero if nothing is known yet, or there is no such check.
func (p *Pool) Since(spec checker.Spec) time.Time { return p.finding(spec).Since }

// finding is what is known of a check; nothing if there is no such check.
func (p *Pool) finding(spec checker.Spec) Finding {
	if c := p.wanted.Load().bySpec[spec]; c != nil {
		return *c.finding.Load()
	}
	return Finding{}
}

// History returns the latest 20 results of a check, the latest last; nil if
// there is no such check. A worker that was replaced has taken them with it.
func (p *Pool) History(spec checker.Spec) []checker.Past {
	c := p.wanted.Load().bySpec[spec]
	if c == nil {
		return nil
	}
	var results []checker.Past
	p.ask(methodHistory, c.id, &results)
	return results
}

// Problems says which checks are not made or learn nothing of their targets: a
// line for each reason.
func (p *Pool) Problems() []string {
	trouble := p.trouble.Load()
	if trouble.worker != "" {
		return []string{trouble.worker}
	}
	var problems []string
	p.ask(methodProblems, None(false), &problems)
	switch n := len(trouble.faulty); n {
	case 0:
	case 1:
		problems = append(problems, "a check cannot be made: "+trouble.faulty[0])
	default:
		problems = append(problems, fmt.Sprintf("%d checks cannot be made, such as the %s", n, trouble.faulty[0]))
	}
	return problems
}
