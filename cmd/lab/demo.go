package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"bascule/cmd/internal/lab"
)

// demo is one performance: the laboratory, what runs in it, and the reporter
// that tells of it.
type demo struct {
	*reporter
	patience time.Duration // how long one step may take

	lab     *lab.Lab
	lb, lb2 *lab.Director
	webs    []*lab.WebServer
	capture *lab.Capture
}

// demoCommand is "lab demo".
func demoCommand() *cobra.Command {
	var binary string
	var patience time.Duration
	cmd := &cobra.Command{
		Use:   "demo --bascule FILE",
		Short: "Show bascule lose a director and a web server, and go on",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := exists(binary); err != nil {
				return fmt.Errorf("program bascule: %v", err)
			}
			return perform(cmd.Context(), cmd.OutOrStdout(), binary, patience)
		},
	}
	cmd.Flags().StringVar(&binary, "bascule", "build/bascule", "the program to show")
	// Several times what a step takes in an emulated machine.
	cmd.Flags().DurationVar(&patience, "patience", 25*time.Second, "how long one step may take")
	return cmd
}

// perform builds the laboratory, shows the demo and takes everything away.
func perform(ctx context.Context, out io.Writer, binary string, patience time.Duration) (err error) {
	d := &demo{reporter: newReporter(out), patience: patience}
	d.say("Bascule: two directors share the virtual addresses %s and %s.\n"+
		"The active one spreads requests over three web servers; the other one waits.",
		lab.PublicVIP.Addr(), lab.InternalVIP.Addr())
	d.lab, err = lab.New(fmt.Sprintf("demo%d-", os.Getpid()))
	if err != nil {
		return err
	}
	defer closing(d.lab, &err)
	if err := d.prepare(ctx, binary); err != nil {
		return err
	}
	d.play(ctx)
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	if err := d.summary(len(d.scenes())); err != nil {
		d.showLogs()
		return err
	}
	return nil
}

// prepare starts what is there before the first step: web servers, the
// capture, and directors that have a configuration but do not run.
func (d *demo) prepare(ctx context.Context, binary string) (err error) {
	if _, err := d.lab.LB.IPVS(ctx); err != nil {
		return fmt.Errorf("the kernel has no IPVS (testdata/vm/exec runs a program where there is one): %v", err)
	}
	if d.webs, err = d.lab.StartWebServers(); err != nil {
		return err
	}
	if d.capture, err = d.lab.Capture(); err != nil {
		return err
	}
	if d.lb, err = newDirector(d.lab.LB, binary); err != nil {
		return err
	}
	d.lb2, err = newDirector(d.lab.LB2, binary)
	return err
}

// newDirector prepares a director with the reference configuration.
func newDirector(host *lab.Host, binary string) (*lab.Director, error) {
	director, err := lab.NewDirector(host, binary)
	if err != nil {
		return nil, err
	}
	return director, director.WriteConfig(lab.ReferenceConfig)
}

// scene is one step of the demo.
type scene struct {
	title    string
	expected string
	do       func(context.Context) (observed string, err error)
}

// scenes returns the steps in their order.
func (d *demo) scenes() []scene {
	return []scene{
		{"The network", "six hosts on two LANs; each web server answers with its name", d.network},
		{"Both directors start", "lb (priority 150) active with both virtual addresses, lb2 (100) backup with none", d.start},
		{"100 requests from the client", "web1 60, web2 20, web3 20 (weights 3, 1, 1)", d.balance},
		{"The active director is lost: killed, its cables cut", "lb2 takes over 3.6 s after lb was last heard (3 intervals and 156/256 s); a gap below 6 s; then requests go on", d.loseDirector},
		{"The lost director comes back", "lb takes over again; never two active directors; no gap of 2 s", d.returnDirector},
		{"A web server is lost: web2 refuses connections", "the next check, within 1 s, takes web2 out of IPVS; then 100 requests without an error: web1 75, web3 25", d.loseWebServer},
		{"The web server comes back", "web2 is in IPVS again; 100 requests: web1 60, web2 20, web3 20", d.returnWebServer},
		{"Both directors stop", "no virtual address and no IPVS service is left on either", d.stop},
	}
}

// play shows the scenes until one fails, for the next ones build on it, or
// until the context ends.
func (d *demo) play(ctx context.Context) {
	for _, s := range d.scenes() {
		ok := d.step(s.title, s.expected, func() (string, error) {
			limited, cancel := context.WithTimeout(ctx, d.patience)
			defer cancel()
			return s.do(limited)
		})
		if !ok {
			return
		}
	}
}

// showLogs prints the end of what the directors have logged.
func (d *demo) showLogs() {
	for _, director := range []*lab.Director{d.lb, d.lb2} {
		d.say("\nThe last words of bascule on %s:\n%s", director.Host().Name, logTail(director.Log(), 20))
	}
}
