package checker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxArguments bounds arguments and environment of a script together. They
	// go through a pipe, which holds as much without waiting for its reader.
	maxArguments = 16 << 10
	// rootUser is the user who has to be named for a script to run as root.
	rootUser = "root"
)

// Script runs a program on this director. Its exit status is the verdict, in
// the sense of keepalived's MISC_CHECK:
//
//	0         the real server works
//	1         it does not
//	2 to 255  with Weight: it works, and its weight is to be the status less
//	          two; without: it does not work
//
// With Weight, a script that ends with 0 may say on its first line of output
// what a status cannot: "weight 300", "weight 75%" or "drain". Other output of
// a script that ends with 0 does not matter; of one that fails, the first line
// is the reason. Beware of shells: they end with 127 if a command is missing,
// which asks for a weight of 125.
//
// The program is run without a shell, in a session of its own, from "/", with
// standard input from /dev/null, a umask of 022, no capabilities unless the user
// is root, no way to gain any (no_new_privs, so neither sudo nor a setuid ping
// works), ordinary scheduling, in the network namespace of the check, with no
// open files besides, and no more than 2048 processes and threads of its user
// on the machine unless that is root. Whatever it started,
// in whatever session, is killed when it ends; and it is killed, with all of
// that, at the timeout and when the check ends or the director does.
//
// Its environment is PATH and LANG=C, unless Env has others, what Env says, and
//
//	BASCULE_ADDRESS   the address of the target
//	BASCULE_PORT      its port; absent if the check has none
//	BASCULE_TIMEOUT   the timeout in seconds, such as "1.5"
//	BASCULE_SOURCE    the address to probe from, if there is one
//	BASCULE_DEVICE    the interface to probe through, if there is one
//	BASCULE_MARK      the firewall mark of probes, if there is one
//
// A script that cannot be started, and one that is killed by somebody else
// (SIGKILL, SIGTERM, SIGINT, SIGHUP), have no verdict: it is this director that
// is at fault. One that dies of a signal of its own making has failed.
type Script struct {
	Argv   Strings // the absolute path of the program, and its arguments
	User   string  // whom to run it as: a name; root only if it is "root"
	Group  string  // empty: the group of the user
	Weight bool    // exit status and output are advice
	Env    Strings // more of the environment: "NAME=value"
}

// Kind returns "script".
func (Script) Kind() string { return "script" }

// portless says that a target without a port will do.
func (Script) portless() {}

// Validate says what is wrong with the parameters of a script check, beginning
// with the name of the parameter. It does not look at this machine: see Live.
func (s Script) Validate() error {
	argv, err := s.Argv.arguments()
	switch {
	case err != nil:
		return fmt.Errorf("argv: %w", err)
	case len(argv) == 0:
		return errors.New("argv is empty: the absolute path of a program is needed, and arguments if it wants some")
	case !filepath.IsAbs(argv[0]):
		return fmt.Errorf("argv begins with %q, which is no absolute path: such as \"/usr/local/lib/check-web\"", argv[0])
	case !isAccountName(s.User):
		return fmt.Errorf("user %q is no name of a user: such as \"nobody\"", s.User)
	case s.Group != "" && !isAccountName(s.Group):
		return fmt.Errorf("group %q is no name of a group: such as \"nogroup\"", s.Group)
	}
	env, err := s.Env.arguments()
	if err != nil {
		return fmt.Errorf("env: %w", err)
	}
	for _, variable := range env {
		name, _, found := strings.Cut(variable, "=")
		if !found || name == "" || strings.HasPrefix(name, "BASCULE_") {
			return fmt.Errorf("env %q is no variable: such as \"NAME=value\", and not BASCULE_…", variable)
		}
	}
	if size := len(s.Argv) + len(s.Env); size > maxArguments {
		return fmt.Errorf("argv and env have %d bytes: %d at most", size, maxArguments)
	}
	return nil
}

// isAccountName is whether a text can be the name of a user or a group. A
// number is none: "0" must not pass for a name other than "root".
func isAccountName(name string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"
	return name != "" && strings.Contains(letters, name[:1]) && strings.Trim(name, letters+"0123456789-.$") == ""
}

// Live says why the script cannot be run on this machine as it is now; nil if
// nothing is known that speaks against it.
func (s Script) Live() error {
	if err := s.Validate(); err != nil {
		return err
	}
	argv, err := s.Argv.List()
	if err != nil {
		return err
	}
	if _, err := accountOf(s.User, s.Group); err != nil {
		return err
	}
	if s.User == rootUser {
		if err := onlyRootWrites(argv[0]); err != nil {
			return err
		}
	}
	if err := unix.Access(argv[0], unix.X_OK); err != nil {
		return fmt.Errorf("%s: %w", argv[0], err)
	}
	return nil
}

// scriptChecker is the probe of one target.
type scriptChecker struct {
	program string
	request []byte // what the launcher is told
	weight  bool
	timeout time.Duration
}

// checker returns the probe of one target.
func (s Script) checker(to endpoint) (Checker, error) {
	argv, err := s.Argv.List()
	if err != nil {
		return nil, err
	}
	more, err := s.Env.List()
	if err != nil {
		return nil, err
	}
	request, err := json.Marshal(launchRequest{
		User: s.User, Group: s.Group, Namespace: to.via.Namespace, Argv: argv, Env: overriding(environment(to), more),
	})
	if err != nil {
		return nil, err
	}
	return &scriptChecker{program: argv[0], request: request, weight: s.Weight, timeout: to.timeout}, nil
}

// environment is what a script is told of its target.
func environment(to endpoint) []string {
	env := []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C",
		"BASCULE_ADDRESS=" + to.Addr().String(),
		"BASCULE_TIMEOUT=" + strconv.FormatFloat(to.timeout.Seconds(), 'f', -1, 64),
	}
	if to.Port() != 0 {
		env = append(env, "BASCULE_PORT="+strconv.Itoa(int(to.Port())))
	}
	if to.via.Source.IsValid() {
		env = append(env, "BASCULE_SOURCE="+to.via.Source.String())
	}
	if to.via.Device != "" {
		env = append(env, "BASCULE_DEVICE="+to.via.Device)
	}
	if to.via.Mark != 0 {
		env = append(env, "BASCULE_MARK="+strconv.FormatUint(uint64(to.via.Mark), 10))
	}
	return env
}

// overriding is an environment with more variables, in place of those of the
// same names: of two, some programs take the first and some the last.
func overriding(env, more []string) []string {
	all := slices.Concat(env, more)
	var last []string
	for i, variable := range all {
		name, _, _ := strings.Cut(variable, "=")
		if !slices.ContainsFunc(all[i+1:], func(later string) bool { return strings.HasPrefix(later, name+"=") }) {
			last = append(last, variable)
		}
	}
	return last
}

// Check runs the script once.
func (c *scriptChecker) Check(ctx context.Context) (Advice, error) {
	begin := time.Now()
	release, ok := scriptSlot(ctx)
	if !ok {
		return Advice{}, c.ended(ctx, "", true)
	}
	waited := time.Since(begin)
	report, err := launch(ctx, c.request, release)
	if err != nil {
		return Advice{}, c.cannot(err)
	}
	outcome := parseReport(report)
	if outcome.kind == outcomeKilled || errors.Is(ctx.Err(), context.Canceled) {
		return Advice{}, c.ended(ctx, outcome.output, waited > lateness(c.timeout))
	}
	return c.verdict(outcome)
}

// ended is the error of a script that did not end by itself. Of one that had
// to wait for its turn for long that says nothing.
func (c *scriptChecker) ended(ctx context.Context, output string, waited bool) error {
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return context.Canceled
	case waited:
		return &LocalError{Reason: fmt.Sprintf("more than %d scripts at the same time on this director", maxScripts)}
	}
	return withOutput(fmt.Sprintf("killed after %s", c.timeout), output)
}

// cannot is the error of a script that could not be run.
func (c *scriptChecker) cannot(err error) error {
	return &LocalError{Reason: fmt.Sprintf("cannot run %s on this director: %v", c.program, err)}
}

// verdict is what a script that ended comes to.
func (c *scriptChecker) verdict(o outcome) (Advice, error) {
	switch {
	case o.kind == outcomeExit && o.number == 0:
		if c.weight {
			return parseAdvice(o.output), nil
		}
		return Advice{}, nil
	case o.kind == outcomeExit && o.number >= 2 && c.weight:
		return Advice{Weight: Weight{Set: true, Value: o.number - 2}}, nil
	case o.kind == outcomeExit:
		return Advice{}, withOutput(fmt.Sprintf("script exited with status %d", o.number), o.output)
	case o.kind == outcomeSignal && fromOutside(syscall.Signal(o.number)):
		return Advice{}, &LocalError{Reason: fmt.Sprintf("%s was ended on this director by %s", c.program, unix.SignalName(syscall.Signal(o.number)))}
	case o.kind == outcomeSignal:
		return Advice{}, withOutput("script died of "+unix.SignalName(syscall.Signal(o.number)), o.output)
	}
	return Advice{}, c.cannot(errors.New(firstLine(o.output, maxOutput))) // the words are our own
}

// fromOutside is whether a signal is rather sent to a program than caused by
// it: by an administrator, by an orderly shutdown, or because memory is short.
func fromOutside(signal syscall.Signal) bool {
	switch signal {
	case syscall.SIGKILL, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP:
		return true
	}
	return false
}

// withOutput is an error with the beginning of what a script has written.
func withOutput(what, output string) error {
	if text := excerpt(output); text != "" {
		return errors.New(what + ": " + text)
	}
	return errors.New(what)
}

// parseAdvice reads the first line of a script that ended well: "weight 30",
// "weight 75%" or "drain". Anything else is no advice.
func parseAdvice(output string) Advice {
	line, _, _ := strings.Cut(output, "\n")
	switch words := strings.Fields(line); {
	case len(words) == 1 && words[0] == "drain":
		return Advice{Drain: true}
	case len(words) == 2 && words[0] == "weight":
		if weight, ok := parseWeight(words[1]); ok {
			return Advice{Weight: weight}
		}
	}
	return Advice{}
}
