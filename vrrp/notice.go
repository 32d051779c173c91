package vrrp

import (
	"fmt"
	"time"
)

// noticePause is how long a router keeps quiet about a kind of notice after
// it spoke of it, so that a hostile or broken segment cannot flood the log.
const noticePause = 10 * time.Second

// noticer keeps what stands out about one router: the problems that last,
// and when each kind was last spoken of.
type noticer struct {
	standing [noticeKinds]string // what holds now
	until    time.Time           // when the director that it is about counts as gone
	told     [noticeKinds]string // what of it the log has heard
	spoken   [noticeKinds]time.Time
	dropped  [dropReasons]time.Time // when packets that are dropped were last spoken of
}

// stand records that a condition holds (detail says how) or has ended (empty
// detail), and reports whether the log should hear of it now. What could not
// be told because of the pause is told after it, if it still holds.
func (n *noticer) stand(now time.Time, kind NoticeKind, detail string) bool {
	n.standing[kind] = detail
	if detail == "" {
		n.told[kind] = ""
		return false
	}
	if n.told[kind] == detail || !n.speak(now, kind) {
		return false
	}
	n.told[kind] = detail
	return true
}

// speak reports whether enough time has passed since this kind was last
// spoken of, and if so counts this as the last time.
func (n *noticer) speak(now time.Time, kind NoticeKind) bool {
	return speakAgain(now, &n.spoken[kind])
}

// speakOfDrop is speak for packets that are dropped for a reason: none hides
// another.
func (n *noticer) speakOfDrop(now time.Time, reason DropReason) bool {
	return speakAgain(now, &n.dropped[reason])
}

// speakAgain reports whether enough time has passed since the last time, and
// if so makes now the last time.
func speakAgain(now time.Time, last *time.Time) bool {
	if !last.IsZero() && now.Sub(*last) < noticePause {
		return false
	}
	*last = now
	return true
}

// outlived forgets the conditions if they are about a director that has been
// silent for longer than its Active_Down_Interval, and reports whether there
// were any. While we are active, one that has been mended need not speak again.
func (n *noticer) outlived(now time.Time) bool {
	if n.standing == [noticeKinds]string{} || !now.After(n.until) {
		return false
	}
	n.forget()
	return true
}

// forget ends the conditions: they were about a director that is gone.
func (n *noticer) forget() {
	n.standing, n.told = [noticeKinds]string{}, [noticeKinds]string{}
}

// problems returns the conditions that hold, in words.
func (n *noticer) problems() []string {
	var words []string
	for kind, detail := range n.standing {
		if detail != "" {
			words = append(words, NoticeKind(kind).String()+": "+detail)
		}
	}
	return words
}

// compare looks for differences between a valid advertisement and our own
// configuration that RFC 9568 section 7.1 wants logged and not punished.
func (g *group) compare(now time.Time, r *router, p packet) []Action {
	details := [...]struct {
		kind   NoticeKind
		detail string
	}{
		{NoticeIntervalMismatch, g.intervalMismatch(p)},
		{NoticeAddressMismatch, r.addressMismatch(p)},
		{NoticeChecksumMismatch, r.checksumMismatch(p)},
		{NoticeUnsigned, r.unsigned(p)},
		{NoticeOwner, g.secondOwner(p)},
	}
	r.notices.until = now.Add(activeDownInterval(p.Priority, p.Interval))
	var out []Action
	for _, d := range details {
		g.changed = g.changed || r.notices.standing[d.kind] != d.detail
		if r.notices.stand(now, d.kind, d.detail) {
			out = append(out, Notice{Group: g.cfg.Name, Router: r.cfg.Name, Kind: d.kind, Detail: d.detail})
		}
	}
	return out
}

// intervalMismatch says how the advertised interval differs, if it does.
func (g *group) intervalMismatch(p packet) string {
	if p.Interval == g.cfg.AdvertisementInterval {
		return ""
	}
	return fmt.Sprintf("%v advertises %v, configured is %v", p.Source, p.Interval, g.cfg.AdvertisementInterval)
}

// addressMismatch says how the advertised addresses differ, if they do.
func (r *router) addressMismatch(p packet) string {
	if sameAddresses(p.Addresses, r.addresses) {
		return ""
	}
	return fmt.Sprintf("%v advertises %v, configured is %v", p.Source, joinAddresses(p.Addresses), joinAddresses(r.addresses))
}

// checksumMismatch says how the checksum form differs, if it does.
func (r *router) checksumMismatch(p packet) string {
	if r.cfg.Family != IPv4 || r.cfg.Version != Version3 || p.Checksum == r.cfg.Checksum {
		return ""
	}
	return fmt.Sprintf("%v uses form %q, configured is %q", p.Source, p.Checksum.String(), r.cfg.Checksum.String())
}

// unsigned says that an advertisement is not signed although ours are.
func (r *router) unsigned(p packet) string {
	if p.Trailer != nil || r.cfg.Auth.signer() == nil {
		return ""
	}
	return fmt.Sprintf("%v does not sign, and mode %q accepts that", p.Source, r.cfg.Auth.Mode.String())
}

// secondOwner says that another director has the priority of the owner too.
func (g *group) secondOwner(p packet) string {
	if g.cfg.Priority != Owner || p.Priority != Owner {
		return ""
	}
	return fmt.Sprintf("%v has priority 255 like us: only one can own the addresses", p.Source)
}

// once returns a Notice about something that a packet has shown, unless its kind
// was spoken of a moment ago.
func (g *group) once(now time.Time, r *router, p packet, kind NoticeKind, format string, args ...any) []Action {
	if !r.notices.speak(now, kind) {
		return nil
	}
	return []Action{Notice{
		Group: g.cfg.Name, Router: r.cfg.Name, Kind: kind, Detail: fmt.Sprintf(format, args...), Recurs: g.recurs(p),
	}}
}

// recurs is how long after a notice about a packet the next one comes at the
// latest if its sender goes on: with the first packet after the pause, or with
// the one after that, for one may be lost.
func (g *group) recurs(p packet) time.Duration {
	return noticePause + 2*max(g.cfg.AdvertisementInterval, p.Interval)
}
