package checker

import (
	"math"
	"sync/atomic"
	"time"
	"unique"
)

const (
	// remembered is how many results of a check its history has.
	remembered = 20
	// maxRemembered is how many bytes of a reason the history keeps.
	maxRemembered = 200
)

// Past is one probe in the history of a check.
type Past struct {
	Start    time.Time
	Duration time.Duration // to the microsecond
	Reason   string        // "" if the probe was good
	Blind    bool          // the probe had no verdict; Reason says why
	State    State         // what was known after it
	Changed  bool          // the probe changed State
}

// history is the latest results of a check. One goroutine adds to it, and any
// may read meanwhile, without a lock and without a copy for each result: a
// record that is counted does not change any more. The zero value is empty.
type history struct {
	latest atomic.Pointer[page]
}

// page is a part of a history.
type page struct {
	records [remembered]record
	count   atomic.Int32 // records that are there
	before  atomic.Pointer[page]
}

// record is a Past in 24 bytes. The words of many checks are the same, and
// kept once.
type record struct {
	start  int64 // nanoseconds since 1970
	reason unique.Handle[string]
	took   uint32 // microseconds
	flags  recordFlags
	state  State
}

// recordFlags are what a record says with yes or no.
type recordFlags uint8

// The flags of a record. Without failed its reason is not set.
const (
	failed recordFlags = 1 << iota
	blind
	changed
)

// add adds a result, the latest.
func (h *history) add(result Result) {
	r := record{start: result.Start.UnixNano(), state: result.State}
	r.took = uint32(min(max(result.Duration.Microseconds(), 0), math.MaxUint32))
	if result.Err != nil {
		r.flags |= failed
		r.reason = unique.Make(clip(result.Err.Error(), maxRemembered))
	}
	if blindness(result.Err) != "" {
		r.flags |= blind
	}
	if result.Changed {
		r.flags |= changed
	}
	h.put(r)
}

// put adds a record, on a new page if need be.
func (h *history) put(r record) {
	latest := h.latest.Load()
	if latest == nil || latest.count.Load() == remembered {
		next := &page{}
		if latest != nil {
			latest.before.Store(nil) // the page is full: nobody needs older ones
			next.before.Store(latest)
		}
		h.latest.Store(next)
		latest = next
	}
	count := latest.count.Load()
	latest.records[count] = r
	latest.count.Store(count + 1)
}

// snapshot returns the records, the latest last.
func (h *history) snapshot() []record {
	latest := h.latest.Load()
	if latest == nil {
		return nil
	}
	// In this order: if the page before has been let go, this one is full.
	before, records := latest.before.Load(), latest.records[:latest.count.Load()]
	if before == nil {
		return records
	}
	return append(before.records[len(records):len(before.records):len(before.records)], records...)
}

// adopt puts the records of another history in the place of its own.
func (h *history) adopt(other *history) {
	h.latest.Store(nil)
	for _, r := range other.snapshot() {
		h.put(r)
	}
}

// list returns the results, the latest last.
func (h *history) list() []Past {
	records := h.snapshot()
	list := make([]Past, len(records))
	for i, r := range records {
		list[i] = r.past()
	}
	return list
}

// past unpacks a record.
func (r record) past() Past {
	p := Past{
		Start: time.Unix(0, r.start), Duration: time.Duration(r.took) * time.Microsecond,
		Blind: r.flags&blind != 0, State: r.state, Changed: r.flags&changed != 0,
	}
	if r.flags&failed != 0 {
		p.Reason = r.reason.Value()
	}
	return p
}
