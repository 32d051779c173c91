package ipvstest

import (
	"testing"

	"bascule/lvs"
	"bascule/lvs/ipvs"
)

// TestConform checks that this kernel answers as the real one.
func TestConform(t *testing.T) {
	Conform(t, lvs.Schedulers(), func(*testing.T) ipvs.Handle { return New().Handle() })
}
