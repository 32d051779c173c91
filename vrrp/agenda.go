package vrrp

import (
	"container/heap"
	"time"
)

// agenda is the groups that wait for something, the earliest first. A group
// that has to wait longer than before stays where it is until it comes first:
// in Backup every packet postpones the deadline, and with this it costs the
// same however many groups there are.
type agenda struct{ groups queue }

// newAgenda returns the agenda of the given groups.
func newAgenda(groups []*group) agenda {
	var a agenda
	for _, g := range groups {
		g.index = -1
		a.note(g)
	}
	return a
}

// note takes down that the deadline of a group may be another one.
func (a *agenda) note(g *group) {
	d := g.deadline()
	switch {
	case d.IsZero() && g.index >= 0:
		heap.Remove(&a.groups, g.index)
	case d.IsZero():
	case g.index < 0:
		g.wake = d
		heap.Push(&a.groups, g)
	case d.Before(g.wake):
		a.move(g, d)
	}
}

// move gives a group another place.
func (a *agenda) move(g *group, to time.Time) {
	g.wake = to
	heap.Fix(&a.groups, g.index)
}

// first returns the group of the earliest deadline, which is its wake then;
// nil if none has one.
func (a *agenda) first() *group {
	for len(a.groups) > 0 {
		g := a.groups[0]
		d := g.deadline()
		if d.Equal(g.wake) {
			return g
		}
		a.move(g, d)
	}
	return nil
}

// queue is the heap of the agenda.
type queue []*group

// Len is how many groups wait.
func (q queue) Len() int { return len(q) }

// Less orders by time.
func (q queue) Less(i, j int) bool { return q[i].wake.Before(q[j].wake) }

// Swap exchanges two groups.
func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

// Push appends a group.
func (q *queue) Push(x any) {
	g := x.(*group)
	g.index = len(*q)
	*q = append(*q, g)
}

// Pop removes the last group.
func (q *queue) Pop() any {
	old := *q
	g := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	g.index = -1
	return g
}
