package daemon

import (
	"log/slog"
	"net/netip"

	"bascule/vrrp"
	"bascule/vrrp/speaker"
)

// observer writes what the speaker reports to the log. The logger must not
// wait, because the speaker's loop calls it.
type observer struct{ log *slog.Logger }

var _ speaker.Observer = observer{}

// Transition logs a change of state with fixed keys, one line each.
func (o observer) Transition(t vrrp.Transition) {
	o.log.Info("group state", "group", t.Group, "from", t.From.String(), "to", t.To.String(),
		"priority", t.Priority, "reason", t.Reason)
}

// Notice logs what stands out.
func (o observer) Notice(n vrrp.Notice) {
	o.log.Warn(n.Kind.String(), "group", n.Group, "router", n.Router, "detail", n.Detail)
}

// SendFault logs that advertisements cannot be sent, or can be again.
func (o observer) SendFault(iface string, destination netip.Addr, fault string) {
	if fault == "" {
		o.log.Info("advertisements go out again", "interface", iface, "destination", destination)
		return
	}
	o.log.Warn("advertisements cannot be sent", "interface", iface, "destination", destination, "error", fault)
}
