package control

import (
	"net/url"
	"time"
)

// FullStatus is what `bascule status --json` prints.
type FullStatus struct {
	Status
	Checks []Check `json:"checks"` // all, without their results
}

// Check is one health check, whoever uses it. Fields may be added; none is
// renamed or removed. Lists are never null.
type Check struct {
	Name       string      `json:"name"`       // kind and target: "http 192.168.200.11:80"
	Kind       string      `json:"kind"`       // as in the configuration
	Target     string      `json:"target"`     // where it goes, without a port if the kind has none
	Way        string      `json:"way"`        // "from 192.168.200.250 through enp0s8"; empty: as the routes say
	Parameters string      `json:"parameters"` // what it asks, without passwords
	Interval   string      `json:"interval"`
	Timeout    string      `json:"timeout"`
	Users      []CheckUser `json:"users"`
	State      string      `json:"state"`   // "unknown", "healthy" or "unhealthy"
	Since      *time.Time  `json:"since"`   // when the probe began that found that out; null if nothing is known
	Reason     string      `json:"reason"`  // why it is not healthy
	Weight     string      `json:"weight"`  // that the target asks for: "50" or "50 %"; empty if it does not
	Drain      bool        `json:"drain"`   // whether the target asks to drain
	Warning    string      `json:"warning"` // what an administrator is to see to
	// Results are the latest 20, the latest last; missing unless asked for.
	Results []CheckResult `json:"results,omitempty"`
}

// CheckUser is a real server that a check decides about, perhaps with others.
type CheckUser struct {
	VirtualServer string `json:"virtual_server"`
	RealServer    string `json:"real_server"`
}

// CheckResult is one probe.
type CheckResult struct {
	Start    time.Time `json:"start"`
	Duration float64   `json:"duration"` // seconds
	Good     bool      `json:"good"`
	Verdict  bool      `json:"verdict"` // false: this director could not find out
	Reason   string    `json:"reason"`  // empty if it was good
	State    string    `json:"state"`   // what was known after it
	Changed  bool      `json:"changed"` // whether that was news
}

// ChecksRequest says which checks are meant, and how much of them.
type ChecksRequest struct {
	Match   []string // virtual servers, targets with or without port, or kinds, one of which is enough; none: all
	Results bool     // with the latest results
}

// The parameters of the request.
const (
	matchParameter   = "match"
	resultsParameter = "results"
)

// query returns the request as parameters.
func (r ChecksRequest) query() url.Values {
	values := url.Values{matchParameter: r.Match}
	if r.Results {
		values.Set(resultsParameter, "1")
	}
	return values
}

// readChecksRequest reads the request from parameters.
func readChecksRequest(values url.Values) ChecksRequest {
	return ChecksRequest{Match: values[matchParameter], Results: values.Get(resultsParameter) != ""}
}
