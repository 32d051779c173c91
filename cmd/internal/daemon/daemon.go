// Package daemon assembles the parts of a director: it starts them, changes
// their configuration and stops them in order.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"bascule/checker/worker"
	"bascule/cmd/internal/config"
	"bascule/cmd/internal/control"
	"bascule/lvs/director"
	"bascule/lvs/ipvs"
	"bascule/lvs/mark"
	"bascule/vrrp/link"
	"bascule/vrrp/speaker"
)

// Options are what the command line says.
type Options struct {
	Config     string // path of the configuration file
	Node       string // name of this director; empty: the host's name
	RuntimeDir string // for the control socket
	StateDir   string // for the record of what is installed
	Version    string
}

// daemon is the running parts. Its fields are set before the first task
// starts; what changes later is atomic or belongs to the reloader.
type daemon struct {
	options Options
	log     *slog.Logger

	observer *observer
	network  *link.Network
	speaker  *speaker.Speaker
	director *director.Director
	pool     *worker.Pool
	checks   fanOut
	follower *follower
	marker   *marker

	reloads chan reloadRequest // to the reloader
	settled chan *config.Node  // to the reloader: the kernel holds this configuration
	done    chan struct{}      // closed when the reloader takes no more requests
	refused atomic.Pointer[string]
	routers atomic.Pointer[routerConfigs] // in force, for status
	storing sync.Mutex                    // held while the overrides are written

	// The rest belongs to the reloader, once it runs.
	node    *config.Node
	partial bool // a reload failed half-way: node is in force in part only
	record  record
}

// Run runs a director until ctx ends, and then gives everything up in order:
// priority 0, the addresses, the IPVS services. An error says that something
// may be left behind, or why it ended by itself. A value from hangups reloads
// the configuration. log must not wait for its reader.
func Run(ctx context.Context, options Options, hangups <-chan os.Signal, log *slog.Logger) error {
	node, err := load(options)
	if err != nil {
		return err
	}
	options.Node = node.Name // a host that is renamed stays the same director
	d := &daemon{
		options: options, log: log, node: node, reloads: make(chan reloadRequest),
		settled: make(chan *config.Node), done: make(chan struct{}),
	}
	if err := os.MkdirAll(options.RuntimeDir, 0o755); err != nil {
		return fmt.Errorf("runtime directory: %v", err)
	}
	server, err := control.Listen(ctx, options.RuntimeDir, service{d})
	if err != nil {
		return unlessStopped(ctx, err)
	}
	d.assemble()
	return d.run(ctx, server, hangups)
}

// unlessStopped returns an error of the start, or nil if the daemon has been
// stopped, which can be the reason: there is nothing to give up yet.
func unlessStopped(ctx context.Context, err error) error {
	select {
	case <-ctx.Done():
		return nil
	default:
		return err
	}
}

// load reads the configuration, and the keys that it names, as this node sees
// it.
func load(options Options) (*config.Node, error) {
	c, err := config.Load(options.Config)
	if err != nil {
		return nil, err
	}
	name := options.Node
	if name == "" {
		if name, err = os.Hostname(); err != nil {
			return nil, fmt.Errorf("name of this host: %v", err)
		}
	}
	node, err := c.ForNode(name)
	if err != nil {
		return nil, err
	}
	return node, node.ReadKeys(os.Geteuid())
}

// assemble makes the parts. None of them does anything before it runs.
func (d *daemon) assemble() {
	leftovers := d.openRecord()
	d.routers.Store(newRouterConfigs(d.node))
	d.network = link.New(d.log, link.WithSchedule(d.node.Announcement))
	d.director = director.New(func() (director.Kernel, error) { return openIPVS() }, d.log)
	d.follower = newFollower(d.director.Follow, interfaceIndex)
	d.observer = &observer{log: d.log, moved: d.follower.moved}
	d.speaker = speaker.New(d.network, d.node.Groups, d.observer, speaker.WithLeftovers(leftovers.Addresses))
	d.director.Adjust(settings(d.node))
	d.director.Configure(serverConfigs(d.node), leftovers.keys())
	d.director.Inherit(leftovers.daemons())
	d.director.SetOverrides(d.openOverrides())
	d.follower.configure(d.node.Sync, groupNames(d.node))
	d.marker = newMarker(d.log, markTable{mark.Check, mark.Apply})
	d.marker.configure(markRules(d.node))
	d.checks.log, d.checks.tell = d.log, d.director.Report
	d.pool = worker.NewPool(d.checks.report, d.log)
	d.checks.known = d.pool.Known
}

// openIPVS opens the kernel client. It keeps a nil *ipvs.Client from becoming
// a Kernel that is not nil.
func openIPVS() (director.Kernel, error) {
	client, err := ipvs.Open()
	if err != nil {
		return nil, err
	}
	return client, nil
}

// run starts all tasks, waits for the end, and stops them in order. The tasks
// outlive ctx, and one another, for the ordered stop needs them.
func (d *daemon) run(ctx context.Context, server *control.Server, hangups <-chan os.Signal) error {
	work, cancel := context.WithCancel(context.Background())
	defer cancel()
	var tasks tasks
	failed := tasks.start(
		func() error { return d.network.Run(work, d.speaker.Deliver) },
		func() error { return d.speaker.Run(work) },
		func() error { return d.director.Run(work) },
		func() error { d.marker.run(work); return nil },
		func() error { d.follower.run(work); return nil },
		func() error { d.serveControl(work, server); return nil },
		func() error { d.watchdog(work); return nil },
	)
	reloading, stopReloads := context.WithCancel(ctx)
	defer stopReloads()
	err := d.startChecks()
	if err == nil {
		d.log.Info("bascule started", "version", d.options.Version, "node", d.node.Name,
			"groups", len(d.node.Groups), "virtual_servers", len(d.node.VirtualServers))
		go d.whenReady(work)
		go d.settleRecord(work, d.node)
		go d.settleOverrides(work)
		go d.reloader(reloading, work, hangups)
		select {
		case <-ctx.Done():
		case err = <-failed:
			d.log.Error("a part of the daemon has failed, stopping", "error", err.Error())
		}
	} else {
		close(d.done)
	}
	stopReloads()
	err = errors.Join(err, d.stop())
	cancel()
	tasks.waitBriefly()
	return err
}

// startChecks lets the checks of the first configuration run.
func (d *daemon) startChecks() error {
	audience := newAudience(d.node)
	d.checks.address(audience)
	return d.pool.Set(audience.specs())
}

// controlRetry is how long after a failure the control socket is opened anew.
const controlRetry = time.Second

// serveControl answers the control socket until ctx ends. A socket that fails
// is opened anew: nobody's addresses depend on it.
func (d *daemon) serveControl(ctx context.Context, server *control.Server) {
	for {
		err := server.Run(ctx)
		for err != nil {
			d.log.Error("control socket failed, opening another", "error", err.Error())
			select {
			case <-ctx.Done():
				return
			case <-time.After(controlRetry):
			}
			server, err = control.Listen(ctx, d.options.RuntimeDir, service{d})
		}
		if ctx.Err() != nil {
			return
		}
	}
}
