package daemon

import (
	"context"
	"errors"
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

// reloadRequest asks the main loop for a reload.
type reloadRequest struct{ answer chan<- reloadAnswer }

// reloadAnswer is what came of it.
type reloadAnswer struct {
	changed bool
	err     error
}

// requestReload asks the main loop to reload and waits for its answer.
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

// reload reads and checks the whole configuration, and only then applies the
// difference to the running parts. With an error nothing has changed.
func (d *daemon) reload(ctx context.Context) (changed bool, err error) {
	notifyReloading()
	defer notifyReady()
	node, err := load(d.options)
	if err == nil {
		err = checkSpecs(node)
	}
	if err != nil {
		text := "the configuration file is not in force: " + err.Error()
		d.refused.Store(&text)
		d.log.Error("reload refused, the previous configuration stays in force", "error", err.Error())
		return false, err
	}
	d.refused.Store(nil)
	if reflect.DeepEqual(node, d.node) {
		d.log.Info("configuration reloaded", "changed", false)
		return false, nil
	}
	if err := d.apply(ctx, node); err != nil {
		d.log.Error("reload failed", "error", err.Error())
		return false, err
	}
	d.log.Info("configuration reloaded", "changed", true,
		"groups", len(node.Groups), "virtual_servers", len(node.VirtualServers))
	return true, nil
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

// apply puts a configuration into force that has been found valid. The real
// servers are configured before their checks, so that no result comes early.
func (d *daemon) apply(ctx context.Context, node *config.Node) error {
	d.extendRecord(newRecord(node))
	d.node = node
	ctx, cancel := context.WithTimeout(ctx, reloadTimeout)
	defer cancel()
	if err := d.speaker.Reconfigure(ctx, node.Groups); err != nil {
		return err
	}
	d.director.Configure(serverConfigs(node), nil)
	audience := newAudience(node)
	d.checks.audience.Store(&audience)
	if err := d.pool.Set(audience.specs()); err != nil {
		return err
	}
	go d.settleRecord(d.work, node)
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
