package config

import "bascule/checker"

// warnOfChecks tells of checks that say less than they seem to.
func (p *problems) warnOfChecks(c *Configuration) {
	for _, s := range c.servers {
		for _, rs := range s.config.RealServers {
			check := s.checks[rs.Address]
			p.warnOfSilence(check)
			check.each(p.warnOfHiddenFiles)
		}
	}
}

// warnOfSilence tells of a check that takes silence for health, and so a dead
// machine too, unless something else is checked besides.
func (p *problems) warnOfSilence(c check) {
	var silent []place
	others := false
	c.each(func(leaf check) {
		if udp, ok := leaf.probe(nil).(checker.UDP); ok && !udp.Require {
			silent = append(silent, leaf.typeAt)
		} else {
			others = true
		}
	})
	if len(silent) > 0 && !others {
		p.add(silent[0], `"udp" without a reply that is required succeeds also where the whole machine is dead: all = [{ type = "udp" }, { type = "ping" }] does not`)
	}
}

// placesOfFiles are where the files belong that parameters of checks name.
var placesOfFiles = map[string]string{
	"password_file": secretDirectory, "secret_file": secretDirectory,
	"ca": secretDirectory, "certificate": secretDirectory, "key": secretDirectory,
	"path": "/run", "command": "/usr/local/lib",
}

// warnOfHiddenFiles tells of files that the daemon does not see although the
// administrator does. It may run otherwise than by its unit, and so this is no
// error.
func (p *problems) warnOfHiddenFiles(leaf check) {
	for _, k := range leaf.kind.keys {
		better, isFile := placesOfFiles[k.name]
		if !isFile || !leaf.values.has(k.name) || k.name == "path" && leaf.kind.name != "file" {
			continue
		}
		g := leaf.values.given[k.name]
		path, _ := g.value.(string)
		if argv, ok := g.value.(checker.Strings); ok {
			if list, err := argv.List(); err == nil {
				path = list[0]
			}
		}
		if hint := hiddenFrom(path, better); hint != "" {
			p.add(g.at, "%s: %s", quote(path), hint)
		}
	}
}
