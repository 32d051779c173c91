package vrrp

import "testing"

// TestBatchIsItsPackets: what follows from a batch is what follows from its
// packets one after another, and the last one of a router has the last word.
func TestBatchIsItsPackets(t *testing.T) {
	public, gateway := publicRouter(), gatewayRouter()
	resigns, stays := advert(public, greaterSource, 0), advert(public, greaterSource, 150)
	for name, batch := range map[string]Batch{
		"empty":            {},
		"one":              {stays},
		"resigns at last":  {stays, resigns},
		"stays after all":  {resigns, stays},
		"several routers":  {stays, advert(gateway, "192.168.200.30", 150), resigns},
		"must make room":   {advert(public, smallerSource, 50), stays, resigns},
		"nothing of value": {{Interface: "pub"}, stays},
	} {
		for state, begin := range map[string]func(*testing.T, ...GroupConfig) *bench{"backup": newBackup, "active": newActive} {
			t.Run(name+" in "+state, func(t *testing.T) {
				together, apart := begin(t, groupOf(100, public, gateway)), begin(t, groupOf(100, public, gateway))
				together.wait(second / 2)
				apart.wait(second / 2)
				var want []string
				for _, p := range batch {
					want = append(want, apart.handle(p)...)
				}
				together.same(together.handle(batch), want...)
				if got, want := together.host.Deadline(), apart.host.Deadline(); !got.Equal(want) {
					t.Errorf("the timer fires at %v, want %v", got, want)
				}
			})
		}
	}
}
