package ipvs_test

import (
	"errors"
	"testing"

	"bascule/lvs/ipvs"
	"bascule/lvs/ipvs/ipvstest"
)

// skipping is a handle whose first list of services is without the second one,
// as when another program deletes the first one meanwhile: the kernel counts
// those that it has told, and goes on behind as many.
type skipping struct {
	ipvs.Handle
	skipped bool
}

// Services implements ipvs.Handle.
func (s *skipping) Services(to []ipvs.Service) ([]ipvs.Service, error) {
	list, err := s.Handle.Services(to)
	if err == nil && !s.skipped && len(list) > 1 {
		s.skipped = true
		list = append(list[:1:1], list[2:]...)
	}
	return list, err
}

// TestWholeReadingMissesNothing checks that a reading of everything has a
// service that the kernel's list was without: at the start nothing else says
// which real servers are members.
func TestWholeReadingMissesNothing(t *testing.T) {
	kernel := ipvstest.New()
	_, ops := rows(3, 2)
	if err := errors.Join(ipvs.NewClient(kernel.Handle()).ApplyAll(ops)...); err != nil {
		t.Fatal(err)
	}
	handle := &skipping{Handle: kernel.Handle()}
	reading, err := ipvs.NewClient(handle).Read()
	if err != nil || !handle.skipped {
		t.Fatalf("error %v; a service was left out: %v", err, handle.skipped)
	}
	if len(reading.Table) != 3 || len(reading.Usage) != 3 {
		t.Errorf("%d services, use of %d, want 3", len(reading.Table), len(reading.Usage))
	}
	for key, entry := range reading.Table {
		if len(entry.Destinations) != 2 {
			t.Errorf("%v: %d destinations, want 2", key, len(entry.Destinations))
		}
	}
}
