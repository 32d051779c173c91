// Package daemon assembles the parts of a director: it starts them, changes
// their configuration and stops them in order.
package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"bascule/checker"
	"bascule/cmd/internal/config"
	"bascule/cmd/internal/control"
	"bascule/lvs/director"
	"bascule/lvs/ipvs"
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
// starts; what changes later is atomic or belongs to the main loop.
type daemon struct {
	options Options
	log     *slog.Logger

	network  *link.Network
	speaker  *speaker.Speaker
	director *director.Director
	pool     *checker.Pool
	checks   fanOut

	reloads chan reloadRequest // to the main loop
	settled chan *config.Node  // to the main loop: the kernel holds this configuration
	done    chan struct{}      // closed when the main loop no longer takes requests
	refused atomic.Pointer[string]

	// The rest belongs to the main loop.
	work   context.Context // ends with the tasks
	node   *config.Node
	record record
}

// Run runs a director until ctx ends, and then gives everything up in order:
// priority 0, the addresses, the IPVS services. A value from hangups reloads
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
		return err
	}
	d.assemble()
	return d.run(ctx, server, hangups)
}

// load reads the configuration as this node sees it.
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
	return c.ForNode(name)
}

// assemble makes the parts. None of them does anything before it runs.
func (d *daemon) assemble() {
	leftovers := d.openRecord()
	d.network = link.New(d.log)
	d.speaker = speaker.New(d.network, d.node.Groups, observer{d.log}, speaker.WithLeftovers(leftovers.Addresses))
	d.director = director.New(func() (director.Kernel, error) { return openIPVS() }, d.log)
	d.director.Configure(serverConfigs(d.node), leftovers.keys())
	d.checks.tell = d.director.Report
	d.pool = checker.NewPool(d.checks.report)
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

// run starts all tasks, serves until the end, and stops them in order. The
// tasks outlive ctx, for the ordered stop needs them.
func (d *daemon) run(ctx context.Context, server *control.Server, hangups <-chan os.Signal) error {
	work, cancel := context.WithCancel(context.Background())
	defer cancel()
	tasks, work := errgroup.WithContext(work)
	tasks.Go(func() error { return d.network.Run(work, d.speaker.Deliver) })
	tasks.Go(func() error { return d.speaker.Run(work) })
	tasks.Go(func() error { return d.director.Run(work) })
	tasks.Go(func() error { return server.Run(work) })
	tasks.Go(func() error { return d.watchdog(work) })

	d.work = work
	err := d.startChecks()
	if err == nil {
		d.log.Info("bascule started", "version", d.options.Version, "node", d.node.Name,
			"groups", len(d.node.Groups), "virtual_servers", len(d.node.VirtualServers))
		go d.whenReady(work)
		go d.settleRecord(work, d.node)
		d.serve(ctx, work, hangups)
	}
	close(d.done)
	d.stop()
	cancel()
	return firstError(err, waitBriefly(tasks))
}

// startChecks lets the checks of the first configuration run.
func (d *daemon) startChecks() error {
	audience := newAudience(d.node)
	d.checks.audience.Store(&audience)
	return d.pool.Set(audience.specs())
}

// serve is the main loop: it takes reloads, one at a time, until ctx ends or
// a task has failed.
func (d *daemon) serve(ctx, work context.Context, hangups <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-work.Done():
			return
		case <-hangups:
			// What is wrong is logged and shown in status; nobody waits for it.
			_, _ = d.reload(ctx)
		case node := <-d.settled:
			d.narrowRecord(node)
		case r := <-d.reloads:
			changed, err := d.reload(ctx)
			r.answer <- reloadAnswer{changed, err}
		}
	}
}

// firstError returns the first of its arguments that is an error.
func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
