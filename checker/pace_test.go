package checker

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// crowd has probes ask for their turn, one after the other, and notes when it
// comes to each.
type crowd struct {
	pace  *pace
	begin time.Time
	mu    sync.Mutex
	order []int           // of those whose turn has come
	when  []time.Duration // it came to each of them
}

// newCrowd lets n probes ask that run late by that much of what they stand.
func newCrowd(ctx context.Context, p *pace, n int, late float64) *crowd {
	c := &crowd{pace: p, begin: time.Now()}
	for i := range n {
		go func() {
			if !p.wait(ctx, time.Duration(late*float64(time.Second)), time.Second, nil, nil) {
				return
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			c.order, c.when = append(c.order, i), append(c.when, time.Since(c.begin))
		}()
		synctest.Wait() // in this order
	}
	return c
}

// within is how many turns came until then.
func (c *crowd) within(limit time.Duration) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, _ := slices.BinarySearch(c.when, limit+1)
	return n
}

// As long as probes start in time nobody waits, however many there are.
func TestPaceInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPace(func() {})
		for range 100 {
			c := newCrowd(t.Context(), p, 100, paceLate)
			if n := c.within(0); n != 100 {
				t.Fatalf("%d of 100 at once", n)
			}
			time.Sleep(paceSlot / 3)
		}
		if late := p.behind.present(time.Now()); late != 0 {
			t.Error(late)
		}
	})
}

// After late starts, no more than four fifths of them may start in a slot;
// others wait, first come first served, and more and more may start as long as
// they do in time.
func TestPaceLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPace(func() {})
		newCrowd(t.Context(), p, 100, 10*paceLate)
		time.Sleep(paceSlot)
		c := newCrowd(t.Context(), p, 1000, 0)
		if n := c.within(0); n != 80 {
			t.Errorf("%d at once, want 80", n)
		}
		time.Sleep(paceSlot)
		synctest.Wait()
		if n := c.within(paceSlot) - 80; n < 80 || n > 90 {
			t.Errorf("%d in the slot after that, want a few more than 80", n)
		}
		time.Sleep(10 * paceSlot)
		synctest.Wait()
		if n := c.within(10 * paceSlot); n != 1000 {
			t.Errorf("%d in ten slots, want all", n)
		}
		last, before := -1, -1 // the last one of this slot, and of those before
		for i, number := range c.order {
			if i > 0 && c.when[i] != c.when[i-1] {
				before = last
			}
			if last = max(last, number); number < before {
				t.Fatalf("number %d had its turn after number %d", number, before)
			}
		}
	})
}

// Those that have begun go on before others begin, also while these wait.
func TestPaceCatchesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		caught := 0
		p := newPace(func() { caught++ })
		newCrowd(t.Context(), p, 100, 10*paceLate)
		time.Sleep(paceSlot)
		newCrowd(t.Context(), p, 1000, 0)
		time.Sleep(5 * paceSlot)
		synctest.Wait()
		p.mu.Lock()
		defer p.mu.Unlock()
		if caught < 6 || caught > 8 {
			t.Errorf("%d times in seven slots", caught)
		}
	})
}

// A machine that is late ever again makes fewer probes, but never none.
func TestPaceSlowest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPace(func() {})
		for range 100 {
			newCrowd(t.Context(), p, 10, 10)
			time.Sleep(paceSlot)
		}
		p.mu.Lock()
		budget := p.budget
		p.mu.Unlock()
		if budget != minPace {
			t.Errorf("%g starts in a slot, want %d", budget, minPace)
		}
		c := newCrowd(t.Context(), p, 1, 0)
		time.Sleep(time.Hour)
		synctest.Wait()
		if c.within(time.Hour) != 1 {
			t.Error("its turn did not come within an hour")
		}
	})
}

// Who does not wait any more takes nobody's turn.
func TestPaceGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPace(func() {})
		p.budget, p.credit = 1, 0
		ctx, cancel := context.WithCancel(t.Context())
		p.ask(time.Now(), 0) // begins a slot, whose one start this is
		gone := newCrowd(ctx, p, 1000, 0)
		cancel()
		synctest.Wait()
		c := newCrowd(t.Context(), p, 1, 0)
		time.Sleep(2 * paceSlot)
		synctest.Wait()
		if gone.within(2*paceSlot) != 0 || c.within(2*paceSlot) != 1 {
			t.Errorf("%d turns of those who are gone, %d of who waits", gone.within(2*paceSlot), c.within(2*paceSlot))
		}
	})
}

// Checks that cannot all be made are late and not failed, and that is a
// problem as long as it lasts.
func TestPoolPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, p := newFarm()
		defer p.Close()
		go func() { // a machine that is slow
			for range 1000 {
				p.pace.sample(1000)
				time.Sleep(paceSlot / 2)
			}
		}()
		time.Sleep(paceSlot)
		specs := make([]Spec, 200)
		for i := range specs {
			specs[i] = target(i)
		}
		set(t, p, specs...)
		time.Sleep(5 * time.Second)
		if problems := strings.Join(p.Problems(), "\n"); !strings.HasPrefix(problems, "health checks start ") ||
			!strings.HasSuffix(problems, "s late: this machine cannot make as many as are due") {
			t.Errorf("problems %q", problems)
		}
		time.Sleep(time.Minute)
		for _, spec := range specs {
			if known := p.Known(spec); known.State != Healthy {
				t.Fatalf("%s: %+v", spec.Name(), known)
			}
		}
		if problems := p.Problems(); len(problems) > 0 {
			t.Errorf("problems %q", problems)
		}
	})
}
