package director_test

import (
	"testing"
	"time"

	"bascule/lvs"
)

// TestSnapshotStays checks that a snapshot is not changed after it was taken,
// also by an edit of what is remembered of the kernel: others read it.
func TestSnapshotStays(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		follow := func(role lvs.SyncRole) {
			f.Follow(map[lvs.SyncRole]lvs.SyncDaemon{role: {Interface: "eth0", ID: 5}})
		}
		follow(lvs.SyncReceiver)
		f.start()
		f.wait(210 * time.Millisecond) // the table was read at 0 and at 200 ms
		before, passes := f.Snapshot(), f.passes.Load()
		follow(lvs.SyncSender)
		f.wait(20 * time.Millisecond)
		if f.passes.Load() != passes {
			t.Fatal("the table was read: nothing remembered was edited")
		}
		if _, kept := before.Daemons[lvs.SyncReceiver]; !kept || len(before.Daemons) != 1 {
			t.Errorf("the snapshot from before has the sync daemons %v, want the receiver only", before.Daemons)
		}
		after := f.Snapshot().Daemons
		if _, started := after[lvs.SyncSender]; !started || len(after) != 1 {
			t.Errorf("the present snapshot has the sync daemons %v, want the sender only", after)
		}
	})
}
