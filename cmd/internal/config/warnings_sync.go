package config

import "strings"

// warnOfSync tells of connections that are not synchronized although others
// are. The active director of one group tells all connections that it has.
func (p *problems) warnOfSync(c *Configuration) {
	if c.sync == nil {
		return
	}
	for _, g := range c.groups {
		if g.name == c.sync.group {
			p.warnOfHaste(g, c.nodes, c.sync.at)
		}
	}
	routed, warned := c.routedAddresses(), map[string]bool{"": true, c.sync.group: true}
	for _, claim := range c.claims() {
		if group := claim.groupOf(routed); !warned[group] {
			warned[group] = true
			p.add(c.sync.groupAt, "%q is one of several groups: connections of %q, such as those of the virtual server %s, are told only while one director is active in both",
				c.sync.group, group, claim.server)
		}
	}
}

// warnOfHaste tells of directors that take over again as soon as they are back:
// what they do not know by then breaks. They learn connections from the time
// on at which they are backups, so that a delay at the start does not help.
func (p *problems) warnOfHaste(g group, nodes []string, syncAt place) {
	lowest := g.priority[nodes[0]]
	for _, name := range nodes {
		lowest = min(lowest, g.priority[name])
	}
	var hasty []string
	for _, name := range nodes {
		if preempt := g.preempt[name]; preempt.Enabled && preempt.Delay == 0 && g.priority[name] > lowest {
			hasty = append(hasty, name)
		}
	}
	if len(hasty) > 0 {
		p.add(g.preemptAt, "true lets %s take over before it has heard of the connections that there are (connection_sync at %s): a delay such as \"30s\" keeps more of them",
			strings.Join(quoteAll(hasty), ", "), syncAt)
	}
}
