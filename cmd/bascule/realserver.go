package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"

	"github.com/spf13/cobra"

	"bascule/cmd/internal/realserver"
)

// defaultRealServerDir is where it is recorded what to undo: below /run, for a
// reboot undoes everything by itself.
const defaultRealServerDir = "/run/bascule-realserver"

// errMissing is the failure of a status with something missing, which it has
// printed.
var errMissing = errors.New("the real server is not set up as it should be")

// newRealServerCommand returns the commands for real servers, which need no
// daemon.
func newRealServerCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "realserver",
		Short: "Set up this machine as a real server for direct routing or tunnels",
		Long: `Set up this machine, which is no director, as a real server for the forwarding
methods "direct" and "tunnel": the virtual addresses are put on lo, and ARP is
told to be silent about them. Nothing of it survives a reboot; the unit
bascule-realserver.service sets it up at boot.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.PersistentFlags().StringVar(&dir, "runtime-dir", defaultRealServerDir, "`directory` to record what is to be undone, which a reboot must empty")
	cmd.AddCommand(newRealServerUp(&dir), newRealServerDown(&dir), newRealServerStatus(&dir))
	return cmd
}

// newRealServerUp returns the command that sets up addresses.
func newRealServerUp(dir *string) *cobra.Command {
	var words []string
	cmd := &cobra.Command{
		Use:   "up ADDRESS...",
		Short: "Set up virtual addresses, in addition to those that are",
		Args: func(cmd *cobra.Command, args []string) error {
			if err := cobra.MinimumNArgs(1)(cmd, args); err != nil {
				return usageError{errors.New("realserver up: no address: want one or more of IPv4 or IPv6, without a prefix")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			addresses, err := parseAll(args, realserver.ParseAddress)
			if err != nil {
				return err
			}
			tunnels, err := parseAll(words, realserver.ParseTunnel)
			if err != nil {
				return err
			}
			return onRealServer(*dir, func(s *realserver.Server) error {
				if err := s.Up(addresses, tunnels); err != nil {
					return err
				}
				status, err := s.Status(nil)
				warn(cmd, status.Missing)
				warn(cmd, status.Warnings)
				return err
			})
		},
	}
	cmd.Flags().StringSliceVar(&words, "tunnel", nil, "also unwrap packets of this `type`: ipip, gre, gre:checksum or gue[:PORT], with /ipv4 or /ipv6 for outer packets of one family; can be repeated")
	return cmd
}

// newRealServerDown returns the command that undoes newRealServerUp's.
func newRealServerDown(dir *string) *cobra.Command {
	return &cobra.Command{
		Use:   "down [ADDRESS...]",
		Short: "Undo what up has done, for these addresses or for all",
		RunE: func(cmd *cobra.Command, args []string) error {
			addresses, err := parseAll(args, realserver.ParseAddress)
			if err != nil {
				return err
			}
			return onRealServer(*dir, func(s *realserver.Server) error {
				notes, err := s.Down(addresses)
				warn(cmd, notes)
				return err
			})
		},
	}
}

// newRealServerStatus returns the command that shows what is set up.
func newRealServerStatus(dir *string) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status [ADDRESS...]",
		Short: "Show what is set up, and fail if any of it, or of these addresses, is missing",
		RunE: func(cmd *cobra.Command, args []string) error {
			expected, err := parseAll(args, realserver.ParseAddress)
			if err != nil {
				return err
			}
			return onRealServer(*dir, func(s *realserver.Server) error {
				status, err := s.Status(expected)
				if err != nil {
					return err
				}
				if err := printRealServer(cmd, status, asJSON); err != nil {
					return err
				}
				if len(status.Missing) > 0 {
					return errMissing
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// printRealServer prints a status.
func printRealServer(cmd *cobra.Command, s realserver.Status, asJSON bool) error {
	if !asJSON {
		return s.WriteTable(cmd.OutOrStdout())
	}
	e := json.NewEncoder(cmd.OutOrStdout())
	e.SetIndent("", "  ")
	return e.Encode(s)
}

// onRealServer does something with this machine.
func onRealServer(dir string, do func(*realserver.Server) error) error {
	kernel, err := realserver.Open()
	if err != nil {
		return err
	}
	defer kernel.Close()
	return do(realserver.New(kernel, dir))
}

// parseAll reads words, and reports all that are wrong as a mistake of usage.
func parseAll[T netip.Addr | realserver.Tunnel](words []string, parse func(string) (T, error)) ([]T, error) {
	var out []T
	var errs []error
	for _, word := range words {
		value, err := parse(word)
		out = append(out, value)
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, usageError{err}
	}
	return out, nil
}

// warn prints what an administrator should know.
func warn(cmd *cobra.Command, lines []string) {
	for _, line := range lines {
		fmt.Fprintf(cmd.ErrOrStderr(), "bascule: warning: %s\n", line)
	}
}
