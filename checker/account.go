package checker

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// accountOf returns the numbers of a user and of all of its groups; group, if
// it is not empty, is the first of them instead of the user's own.
func accountOf(name, group string) (*syscall.Credential, error) {
	account, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("there is no user %q", name)
	}
	first := account.Gid
	if group != "" {
		g, err := user.LookupGroup(group)
		if err != nil {
			return nil, fmt.Errorf("there is no group %q", group)
		}
		first = g.Gid
	}
	others, err := account.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("groups of user %q: %w", name, err)
	}
	numbers, err := parseIDs(append([]string{account.Uid, first}, others...))
	switch {
	case err != nil:
		return nil, fmt.Errorf("user %q: %w", name, err)
	case isHiddenRoot(name, numbers[0]):
		return nil, fmt.Errorf("user %q is root by another name: \"root\" has to be written if it is meant", name)
	}
	return &syscall.Credential{Uid: numbers[0], Gid: numbers[1], Groups: numbers[2:]}, nil
}

// isHiddenRoot is whether a user is root, and its name does not say so.
func isHiddenRoot(name string, uid uint32) bool { return uid == 0 && name != rootUser }

// parseIDs reads the numbers of users or groups.
func parseIDs(texts []string) ([]uint32, error) {
	var numbers []uint32
	for _, text := range texts {
		number, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return nil, err
		}
		numbers = append(numbers, uint32(number))
	}
	return numbers, nil
}

// maxLinks is how many links the kernel follows on the way to a file.
const maxLinks = 40

// onlyRootWrites says who besides root can put another program in the place of
// one that is to be run as root: whoever owns it, a directory on the way, or a
// link, or may write there. It goes the way of the kernel, link by link.
func onlyRootWrites(program string) error {
	at, links := "/", 0 // without links
	for rest := strings.Split(program, "/"); len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		path := filepath.Join(at, name)
		if err := onlyRootChanges(path); err != nil {
			return err
		}
		target, err := os.Readlink(path)
		if err != nil { // no link
			at = path
			continue
		}
		if links++; links > maxLinks {
			return fmt.Errorf("%s: %w", program, syscall.ELOOP)
		}
		if filepath.IsAbs(target) {
			at = "/"
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return nil
}

// onlyRootChanges is onlyRootWrites for one file, directory or link.
func onlyRootChanges(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	const byGroup, byOthers = 0o020, 0o002
	mode := info.Mode()
	isLink := mode&os.ModeSymlink != 0 // whose mode says nothing
	switch {
	case !ok:
		return fmt.Errorf("%s: the owner is unknown", path)
	case stat.Uid != 0:
		return fmt.Errorf("%s does not belong to root, who is to run the script", path)
	case !isLink && (mode&byOthers != 0 || mode&byGroup != 0 && stat.Gid != 0):
		return fmt.Errorf("%s can be written by others than root, who is to run the script", path)
	}
	return nil
}
