package worker

import (
	"errors"
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
	results, _ := ask[[]checker.Past](p, methodHistory, c.id)
	return results
}

// ask asks the worker a question; an error is no answer.
func ask[T any](p *Pool, method string, argument any) (T, error) {
	var none T
	w := p.running.Load()
	if w == nil {
		return none, errNone
	}
	answer := new(T) // not used if it comes too late: then it may be written to
	if err := w.call(questionPatience, method, argument, answer); err != nil {
		return none, err
	}
	return *answer, nil
}

// errNone is the answer of no worker.
var errNone = errors.New("there is no process for them")

// Problems says which checks are not made or learn nothing of their targets: a
// line for each reason.
func (p *Pool) Problems() []string {
	trouble := p.trouble.Load()
	if trouble.worker != "" {
		return []string{trouble.worker}
	}
	problems, err := ask[[]string](p, methodProblems, None(false))
	switch {
	case err == nil:
	case errors.Is(err, errSilent):
		problems = append(problems, "the process of the health checks does not answer: "+err.Error())
	case !errors.Is(err, errNone): // it is ending
		problems = append(problems, noWorker+err.Error())
	}
	switch n := len(trouble.faulty); n {
	case 0:
	case 1:
		problems = append(problems, "a check cannot be made: "+trouble.faulty[0])
	default:
		problems = append(problems, fmt.Sprintf("%d checks cannot be made, such as the %s", n, trouble.faulty[0]))
	}
	return problems
}
