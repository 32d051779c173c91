package lab

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
)

// KeepalivedVersion asks the keepalived of a root, "" being that of the
// machine, for its version, such as "2.2.7".
func KeepalivedVersion(ctx context.Context, root string) (string, error) {
	program := []string{"keepalived", "--version"}
	if root != "" {
		program = append([]string{"chroot", root}, program...)
	}
	return versionOf(exec.CommandContext(ctx, program[0], program[1:]...))
}

// FRRVersion asks FRR's vrrpd for its version, such as "8.4.4".
func FRRVersion(ctx context.Context) (string, error) {
	return versionOf(exec.CommandContext(ctx, frrPrograms+"vrrpd", "--version"))
}

// version is how programs write theirs, in the first of what they say.
var version = regexp.MustCompile(`\d+\.\d+(\.\d+)*`)

// versionOf runs a program that says its version, on either output.
func versionOf(cmd *exec.Cmd) (string, error) {
	text, err := cmd.CombinedOutput()
	found := version.Find(text)
	if err != nil || found == nil {
		return "", fmt.Errorf("version of %s: %v: %.200q", cmd.Path, err, text)
	}
	return string(found), nil
}
