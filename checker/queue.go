package checker

import (
	"container/heap"
	"time"
)

// queue is tasks by the moments at which they go on, the earliest first.
type queue []*task

// first returns the earliest, if its moment has come.
func (q queue) first(now time.Time) *task {
	if len(q) == 0 || q[0].at.After(now) {
		return nil
	}
	return q[0]
}

// add adds a task.
func (q *queue) add(t *task) {
	t.in = q
	heap.Push(q, t)
}

// remove takes a task out.
func (q *queue) remove(t *task) {
	heap.Remove(q, t.index)
	t.in = nil
}

// Len implements heap.Interface, as what follows.
func (q queue) Len() int { return len(q) }

// Less is whether the task at i comes before the one at j.
func (q queue) Less(i, j int) bool { return q[i].at.Before(q[j].at) }

// Swap swaps two tasks.
func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

// Push adds a task at the end.
func (q *queue) Push(x any) {
	t := x.(*task)
	t.index = len(*q)
	*q = append(*q, t)
}

// Pop takes the last task out.
func (q *queue) Pop() any {
	last := len(*q) - 1
	t := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return t
}
