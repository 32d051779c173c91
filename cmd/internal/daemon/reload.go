package daemon

import (
	"context"
	"errors"
	"os"
	"runtime/debug"
	"time"

	"bascule/checker"
	"bascule/cmd/internal/config"
	"bascule/lvs"
)

// reloadTimeout bounds the time in which the parts take over a configuration.
const reloadTimeout = 10 * time.Second

// errStopping answers a reload that comes too late.
var errStopping = errors.New("the daemon is stopping")

// reloadRequest asks the reloader for a reload.
type reloadRequest struct{ answer chan<- reloadAnswer }

// reloadAnswer is what came of it.
type reloadAnswer struct {
	changed bool
	err     error
}

// requestReload asks the reloader to reload and waits for its answer.
func (d *daemon) requestReload(ctx context.Context) (changed bool, err error) {
	answer := make(chan reloadAnswer, 1)
	select {
	case d.reloads <- reloadRequest{answer}:
	case <-d.done:
		return false, errStopping
	case <-ctx.Done():
		return false, ctx.Err()
	}
	a := <-answer
	return a.changed, a.err
}

// reloader takes reloads, one at a time, until ctx ends. It may wait for a
// disk; what must be quick does not wait for it. What it starts ends with work.
func (d *daemon) reloader(ctx, work context.Context, hangups <-chan os.Signal) {
	defer close(d.done)
	for {
		select {
		case <-ctx.Done():
			return
		case <-work.Done():
			return
		case <-hangups:
			// What is wrong is logged and shown in status; nobody waits for it.
			_, _ = d.reload(ctx, work)
		case node := <-d.settled:
			d.narrowRecord(node)
			// To read a configuration and put it into force takes several times
			// the memory that it takes to hold it.
			debug.FreeOSMemory()
		case r := <-d.reloads:
			changed, err := d.reload(ctx, work)
			r.answer <- reloadAnswer{changed, err}
		}
	}
}

// reload reads and checks the whole configuration, and only then applies the
// difference to the running parts. What is wrong is shown in status until a
// reload succeeds.
func (d *daemon) reload(ctx, work context.Context) (changed bool, err error) {
	notifyReloading()
	defer notifyReady()
	changed, err = d.replace(ctx, work)
	if err != nil {
		text, what := "the configuration file is not in force: ", "reload refused, the previous configuration stays in force"
		switch {
		case d.partial && changed:
			text, what = "the configuration is in force in part only, reload it again: ", "reload failed half-way"
		case d.partial:
			text, what = "a configuration is in force in part only, and the file is refused: ", "reload refused"
		}
		text += err.Error()
		d.refused.Store(&text)
		d.log.Error(what, "error", err.Error())
		return false, err
	}
	d.refused.Store(nil)
	d.log.Info("configuration reloaded", "changed", changed,
		"groups", len(d.node.Groups), "virtual_servers", len(d.node.VirtualServers))
	return changed, nil
}

// replace puts the configuration file into force, if it is valid and differs.
func (d *daemon) replace(ctx, work context.Context) (changed bool, err error) {
	node, err := load(d.options)
	if err != nil {
		return false, err
	}
	if err := errors.Join(checkSpecs(node), checkMachine(node, d.node)); err != nil {
		return false, err
	}
	if node.Equal(d.node) && !d.partial {
		return false, nil
	}
	err = d.apply(ctx, work, node)
	d.partial = err != nil
	return true, err
}

// checkSpecs makes sure that every check can be made.
func checkSpecs(node *config.Node) error {
	var errs []error
	for spec := range newAudience(node) {
		if _, err := checker.New(spec); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// apply puts a configuration into force that has been found valid. Services
// are there before the addresses that lead to them, and real servers before
// their checks, so that no result comes early.
func (d *daemon) apply(ctx, work context.Context, node *config.Node) error {
	d.extendRecord(newRecord(node))
	d.network.SetSchedule(node.Announcement)
	ctx, cancel := context.WithTimeout(ctx, reloadTimeout)
	defer cancel()
	d.director.Reconfigure(settings(node), serverConfigs(node))
	go d.settleOverrides(work)
	d.marker.configure(markRules(node))
	if err := d.speaker.Reconfigure(ctx, node.Groups); err != nil {
		return err
	}
	d.follower.configure(node.Sync, groupNames(node))
	d.routers.Store(newRouterConfigs(node))
	audience := newAudience(node)
	d.checks.address(audience)
	if err := d.pool.Set(audience.specs()); err != nil {
		return err
	}
	d.node = node
	go d.settleRecord(work, node)
	return nil
}

// settings returns what is wanted of the kernel's IPVS as a whole.
func settings(node *config.Node) lvs.Settings {
	return lvs.Settings{Timeouts: node.Timeouts, Exclusive: node.Exclusive}
}

// groupNames returns the names of a configuration's groups.
func groupNames(node *config.Node) []string {
	names := make([]string, 0, len(node.Groups))
	for _, g := range node.Groups {
		names = append(names, g.Name)
	}
	return names
}

// serverConfigs returns the virtual servers as the director takes them.
func serverConfigs(node *config.Node) []lvs.VirtualServerConfig {
	servers := make([]lvs.VirtualServerConfig, 0, len(node.VirtualServers))
	for _, vs := range node.VirtualServers {
		servers = append(servers, vs.VirtualServerConfig)
	}
	return servers
}
