package director

import (
	"cmp"

	"bascule/lvs"
)

// locate tells of the sync daemons that the kernel holds on which interface
// they are, which it does not say: where they were started, or, of those that
// others have started, where they are wanted.
func (l *loop) locate(have *lvs.State) {
	wanted := l.model.Wanted().Daemons
	for role, d := range have.Daemons {
		if l.expected != nil {
			d.Index = l.expected.Daemons[role].Index
		}
		d.Index = cmp.Or(d.Index, wanted[role].Index)
		have.Daemons[role] = d
	}
}
