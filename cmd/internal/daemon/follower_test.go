package daemon

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"bascule/cmd/internal/config"
	"bascule/lvs"
	"bascule/vrrp"
)

// heard is what a follower has told, and an interface whose index it sees.
type heard struct {
	*follower
	t *testing.T

	mu    sync.Mutex
	told  []string
	index int
}

// newHeard returns a follower in a bubble of virtual time.
func newHeard(t *testing.T) *heard {
	h := &heard{t: t, index: 7}
	h.follower = newFollower(h.tell, func(string) int {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.index
	})
	return h
}

// tell writes down what the director is told.
func (h *heard) tell(daemons map[lvs.SyncRole]lvs.SyncDaemon) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if daemons == nil {
		h.told = append(h.told, "none of ours")
		return
	}
	var words []string
	for _, role := range slices.Sorted(maps.Keys(daemons)) {
		d := daemons[role]
		words = append(words, fmt.Sprintf("%v %s/%d id %d", role, d.Interface, d.Index, d.ID))
	}
	h.told = append(h.told, strings.Join(words, " and "))
}

// expect compares what has been told since the last time.
func (h *heard) expect(when string, want ...string) {
	h.t.Helper()
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	if !slices.Equal(h.told, want) {
		h.t.Errorf("%s: told %q, want %q", when, h.told, want)
	}
	h.told = nil
}

// web synchronizes the connections of the group web.
func web() *config.Sync {
	return &config.Sync{Group: "web", Daemon: lvs.SyncDaemon{Interface: "eth1", ID: 1}}
}

// The roles of the group web, as they are told.
const (
	sends    = "sender eth1/7 id 1"
	receives = "receiver eth1/7 id 1"
	both     = sends + " and " + receives
)

// TestFollower walks through the life of a group and its configurations, and
// expects to be told what is new, and nothing twice.
func TestFollower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeard(t)
		groups := []string{"web", "mail"}
		h.moved("web", vrrp.Initialize)
		h.expect("without synchronization")
		h.configure(web(), groups)
		h.expect("with a fault: it will be a backup, and must know the connections", receives)
		h.moved("web", vrrp.Backup)
		h.moved("mail", vrrp.Active)
		h.expect("a backup, and another group")
		h.moved("web", vrrp.Active)
		h.moved("web", vrrp.Active)
		h.expect("active, and it takes what the former one had still to send", both)
		time.Sleep(receiverLinger - time.Millisecond)
		h.expect("shortly before the end of that")
		time.Sleep(time.Millisecond)
		h.expect("active", sends)
		h.configure(web(), groups)
		h.expect("the same configuration")
		h.moved("web", vrrp.Initialize)
		h.expect("with a fault, and it tells what its kernel has still to send", both)
		time.Sleep(senderLinger - time.Millisecond)
		h.moved("web", vrrp.Backup)
		h.expect("mended before that is over")
		time.Sleep(time.Millisecond)
		h.expect("a backup", receives)
		h.configure(nil, groups)
		h.expect("without synchronization any more, which ends what was started", "none of ours")
		time.Sleep(time.Hour)
		h.expect("much later")
	})
}

// TestFollowerAndBack: a group that is active again soon goes on sending, and
// nothing that has been begun for the change before ends that.
func TestFollowerAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeard(t)
		h.configure(web(), []string{"web"})
		h.moved("web", vrrp.Active)
		time.Sleep(time.Hour)
		h.expect("active", receives, both, sends)
		h.moved("web", vrrp.Backup)
		time.Sleep(time.Second)
		h.moved("web", vrrp.Active)
		h.expect("for a second a backup", both)
		time.Sleep(receiverLinger - time.Millisecond)
		h.expect("the end of the backup's time is no end any more")
		time.Sleep(time.Millisecond)
		h.expect("active", sends)
	})
}

// TestFollowerEnds: an ordered stop begins no role, and ends none by itself.
func TestFollowerEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeard(t)
		h.configure(web(), []string{"web"})
		h.moved("web", vrrp.Active)
		h.expect("active", receives, both)
		if !h.end() {
			t.Error("it sends, and does not say so")
		}
		h.moved("web", vrrp.Initialize)
		h.configure(nil, nil)
		time.Sleep(time.Hour)
		h.expect("stopping")
		for _, wanted := range []*config.Sync{nil, web()} {
			idle := newHeard(t)
			idle.configure(wanted, []string{"web"})
			if idle.end() {
				t.Errorf("says that it sends with %v in Backup", wanted)
			}
		}
	})
}

// TestFollowerReconfigured: another configuration is in force at once, and a
// group that is not configured any more is forgotten.
func TestFollowerReconfigured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeard(t)
		h.moved("mail", vrrp.Active)
		h.configure(web(), []string{"web", "mail"})
		h.moved("web", vrrp.Active)
		h.expect("active", receives, both)
		other := web()
		other.Group, other.Daemon.ID = "mail", 2
		h.configure(other, []string{"web", "mail"})
		h.expect("another group", "sender eth1/7 id 2")
		time.Sleep(time.Hour)
		h.expect("after the time of the former one")
		h.configure(nil, []string{"web"})
		h.configure(other, []string{"web", "mail"})
		h.expect("a group that was not there for a while", "none of ours", "receiver eth1/7 id 2")
	})
}

// TestFollowerInterface: a daemon of the kernel stays with the interface that
// it began with, so that one of the same name that is made again is told.
func TestFollowerInterface(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeard(t)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			h.run(ctx)
		}()
		set := func(index int) {
			h.mu.Lock()
			h.index = index
			h.mu.Unlock()
			time.Sleep(time.Minute)
		}
		set(7)
		h.expect("without synchronization")
		h.configure(web(), []string{"web"})
		set(7)
		h.expect("as it was", receives)
		set(0)
		h.expect("deleted: nothing can be done")
		set(9)
		h.expect("made again", "receiver eth1/9 id 1")
		set(9)
		h.expect("as it is")
		cancel()
		<-ended
	})
}
