package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// SuiteTrixie is Debian 13, whose keepalived is 2.3.3.
const SuiteTrixie = "trixie"

// rootMount is where a program that runs in another Debian finds the directory
// of its host.
const rootMount = "/mnt"

// inRoot has sh(1) become a program in another Debian: "$1" is its root, "$2"
// the directory to show there, the rest is the program. The mounts are in the
// mount namespace that ip-netns(8) has made for it alone, and end with it. The
// root itself is read-only: others use it too.
const inRoot = `set -e
mount --bind -o ro "$1" "$1"
mount --bind "$2" "$1/mnt"
mount --rbind /proc "$1/proc"
mount --rbind /sys "$1/sys"
mount --rbind /dev "$1/dev"
mount -t tmpfs tmpfs "$1/run"
mount -t tmpfs tmpfs "$1/tmp"
root=$1
shift 2
PATH=/usr/sbin:/usr/bin:/sbin:/bin exec chroot "$root" "$@"`

// startIn runs a program of another Debian on the host; an empty root is this
// machine's own.
func (h *Host) startIn(root, directory, name string, args ...string) (*Process, error) {
	if root == "" {
		return h.Start(name, args...)
	}
	return h.startAs(name, "sh", append([]string{"-c", inRoot, "sh", root, directory, name}, args...)...)
}

// DebianRoot returns the directory of a minimal Debian of the given suite
// ("trixie") with some packages more. The first call makes it, with debootstrap
// (8) and by this machine's own mirror, in a cache that outlives the
// laboratory: $XDG_CACHE_HOME, or /var/cache. Whoever calls meanwhile waits.
// It needs root.
func DebianRoot(ctx context.Context, suite string, packages ...string) (string, error) {
	cache, err := cacheDirectory()
	if err != nil {
		return "", err
	}
	root := filepath.Join(cache, strings.Join(append([]string{suite}, packages...), "-"))
	unlock, err := lockFile(filepath.Join(cache, "lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(root); !errors.Is(err, fs.ErrNotExist) {
		return root, err
	}
	making := filepath.Join(cache, "making")
	// What somebody was making who has been killed: nobody is now.
	if err := os.RemoveAll(making); err != nil {
		return "", fmt.Errorf("half a Debian: %v", err)
	}
	if err := debootstrap(ctx, suite, making, packages); err != nil {
		return "", errors.Join(err, os.RemoveAll(making))
	}
	return root, os.Rename(making, root)
}

// cacheDirectory makes the directory of the roots.
func cacheDirectory() (string, error) {
	base := os.Getenv("XDG_CACHE_HOME")
	if base == "" {
		base = "/var/cache"
	}
	cache := filepath.Join(base, "bascule-peers")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", fmt.Errorf("cache of the peers: %v", err)
	}
	return cache, nil
}

// lockFile waits until nobody else, in this process or in another, has the
// lock of a file. Who has it and is killed has it no more.
func lockFile(path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock: %v", err)
	}
	for {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			file.Close()
			return nil, fmt.Errorf("lock %s: %v", path, err)
		}
		return func() { file.Close() }, nil
	}
}

// debootstrap unpacks a minimal Debian into a directory. Its mounts are in a
// mount namespace of its own, so that none is left when it is killed.
func debootstrap(ctx context.Context, suite, directory string, packages []string) error {
	mirror, err := debianMirror(ctx)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "unshare", "--mount", "--fork", "--kill-child",
		"debootstrap", "--variant=minbase", "--include="+strings.Join(packages, ","), suite, directory, mirror)
	cmd.SysProcAttr = dieWithParent()
	if text, err := output(cmd); err != nil {
		lines := strings.Split(strings.TrimSpace(text), "\n")
		return fmt.Errorf("debootstrap of %s: %v; its last words: %s", suite, err, lines[len(lines)-1])
	}
	// The packages themselves, once unpacked, are a third of it.
	return errors.Join(
		os.RemoveAll(filepath.Join(directory, "var/cache/apt/archives")),
		os.RemoveAll(filepath.Join(directory, "var/lib/apt/lists")))
}

// debianMirror returns where this machine's apt gets Debian from: the first
// source that calls itself so. Without one it is Debian's own.
func debianMirror(ctx context.Context) (string, error) {
	text, err := output(exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(REPO_URI) $(ORIGIN) $(LABEL)", "Created-By: Packages"))
	if err != nil {
		return "", fmt.Errorf("sources of apt: %v", err)
	}
	for line := range strings.Lines(text) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[1] == "Debian" && fields[2] == "Debian" {
			return fields[0], nil
		}
	}
	return "http://deb.debian.org/debian", nil
}
