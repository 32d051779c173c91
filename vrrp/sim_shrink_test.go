package vrrp

import "time"

// shrinkTime is how long is tried to make a failing run shorter.
const shrinkTime = 20 * time.Second

// shrink drops disturbances for as long as the run still fails. It fails
// perhaps in another way then, which is as welcome.
func shrink(f *failure) *failure {
	kept := make([]int, rounds*disturbances)
	for i := range kept {
		kept[i] = i
	}
	deadline := time.Now().Add(shrinkTime)
	fails := func(numbers []int) error { return simulate(f.seed, numbers, nil, &tally{}) }
	least := minimize(kept, func(numbers []int) bool { return time.Now().Before(deadline) && fails(numbers) != nil })
	return &failure{seed: f.seed, kept: least, err: fails(least)}
}

// minimize returns a short list that still fails: it leaves out halves, then
// quarters, and in the end single elements, until none can be spared.
func minimize(list []int, fails func([]int) bool) []int {
	for size := (len(list) + 1) / 2; size > 0; {
		shorter := false
		for i := 0; i < len(list); {
			end := min(i+size, len(list))
			without := append(append(make([]int, 0, len(list)), list[:i]...), list[end:]...)
			if fails(without) {
				list, shorter = without, true
			} else {
				i = end
			}
		}
		switch {
		case size > 1:
			size = min(size/2, max(1, len(list)))
		case !shorter:
			return list
		}
	}
	return list
}
