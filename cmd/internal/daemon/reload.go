package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"reflect"
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
		text := "the configuration file is not in force: " + err.Error()
		d.refused.Store(&text)
		d.log.Error("reload refused, the previous configuration stays in force", "error", err.Error())
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
	if err := errors.Join(checkSpecs(node), checkInterfaces(d.node, node)); err != nil {
		return false, err
	}
	if reflect.DeepEqual(node, d.node) {
		return false, nil
	}
	return true, d.apply(ctx, work, node)
}

// checkInterfaces makes sure that the interfaces exist that come with a new
// configuration: a mistyped name would take a group that is running down.
func checkInterfaces(before, after *config.Node) error {
	known := newRecord(before).Addresses
	var errs []error
	for _, g := range after.Groups {
		for _, r := range g.Routers {
			if _, ok := known[r.Interface]; ok {
				continue
			}
			if _, err := net.InterfaceByName(r.Interface); err != nil {
				errs = append(errs, fmt.Errorf("group.%s.router.%s.interface: %q: no such interface on this machine", g.Name, r.Name, r.Interface))
			}
		}
	}
	return errors.Join(errs...)
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
	ctx, cancel := context.WithTimeout(ctx, reloadTimeout)
	defer cancel()
	d.director.Configure(serverConfigs(node), nil)
	if err := d.speaker.Reconfigure(ctx, node.Groups); err != nil {
		return err
	}
	audience := newAudience(node)
	d.checks.audience.Store(&audience)
	if err := d.pool.Set(audience.specs()); err != nil {
		return err
	}
	d.node = node
	go d.settleRecord(work, node)
	return nil
}

// serverConfigs returns the virtual servers as the director takes them.
func serverConfigs(node *config.Node) []lvs.VirtualServerConfig {
	servers := make([]lvs.VirtualServerConfig, 0, len(node.VirtualServers))
	for _, vs := range node.VirtualServers {
		servers = append(servers, vs.VirtualServerConfig)
	}
	return servers
}
