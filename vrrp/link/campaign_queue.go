package link

// campaignQueue is a heap of campaigns: first is whose frame is due first, and
// among equals who waited longest. It is used by package container/heap.
type campaignQueue []*campaign

// Len returns the number of campaigns.
func (q campaignQueue) Len() int { return len(q) }

// Less reports whether campaign i comes before campaign j.
func (q campaignQueue) Less(i, j int) bool {
	if order := q[i].due.Compare(q[j].due); order != 0 {
		return order < 0
	}
	return q[i].ordinal < q[j].ordinal
}

// Swap exchanges two campaigns.
func (q campaignQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i, j
}

// Push appends a *campaign.
func (q *campaignQueue) Push(x any) {
	r := x.(*campaign)
	r.place = len(*q)
	*q = append(*q, r)
}

// Pop removes the last campaign and returns it.
func (q *campaignQueue) Pop() any {
	last := len(*q) - 1
	r := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	r.place = away
	return r
}
