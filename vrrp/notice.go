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
	told     [noticeKinds]string // what of it the log has heard
	spoken   [noticeKinds]time.Time
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
	if last := n.spoken[kind]; !last.IsZero() && now.Sub(last) < noticePause {
		return false
	}
	n.spoken[kind] = now
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
	}
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
	if p.adv.Interval == g.cfg.AdvertisementInterval {
		return ""
	}
	return fmt.Sprintf("%v advertises %v, configured is %v", p.Source, p.adv.Interval, g.cfg.AdvertisementInterval)
}

// addressMismatch says how the advertised addresses differ, if they do.
func (r *router) addressMismatch(p packet) string {
	if sameAddresses(p.adv.Addresses, r.addresses) {
		return ""
	}
	return fmt.Sprintf("%v advertises %v, configured is %v", p.Source, joinAddresses(p.adv.Addresses), joinAddresses(r.addresses))
}

// checksumMismatch says how the checksum form differs, if it does.
func (r *router) checksumMismatch(p packet) string {
	if r.cfg.Family != IPv4 || p.form == r.cfg.Checksum {
		return ""
	}
	return fmt.Sprintf("%v uses form %q, configured is %q", p.Source, p.form.String(), r.cfg.Checksum.String())
}

// once returns a Notice about something that happened, unless its kind was
// spoken of a moment ago.
func (g *group) once(now time.Time, r *router, kind NoticeKind, format string, args ...any) []Action {
	if !r.notices.speak(now, kind) {
		return nil
	}
	return []Action{Notice{Group: g.cfg.Name, Router: r.cfg.Name, Kind: kind, Detail: fmt.Sprintf(format, args...)}}
}
