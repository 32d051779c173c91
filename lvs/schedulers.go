package lvs

import "slices"

// schedulers are the names of the schedulers that Linux has, in the order of
// ipvsadm(8); fo, ovf, mh and twos are newer than its manual page.
var schedulers = [...]string{
	"rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh", "twos",
}

// Schedulers returns the names of all schedulers, for messages and completion.
func Schedulers() []string {
	return slices.Clone(schedulers[:])
}

// ValidScheduler says whether Linux has a scheduler of this name. Whether the
// running kernel can load it is known only when a service is added.
func ValidScheduler(name string) bool {
	return slices.Contains(schedulers[:], name)
}
