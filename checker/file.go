package checker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
)

// What a File may want of its file.
const (
	FileExists  = "exists"  // the real server works while there is the file
	FileMissing = "missing" // it works while there is none: a flag of maintenance
	FileContent = "content" // the first line says how it is
)

// File reads a file on this director that somebody else writes, such as a job
// that watches the real server, or an administrator before maintenance.
//
// The first line of a "content" has the words of an Agent: a weight ("30",
// "75%"), "up", "drain", "maint" or "down", and a reason behind "#". A file
// that is missing, empty, or says something else, has no verdict, and the
// real server stays what it was: a writer that has not started yet, or has
// just emptied the file, says nothing about it. Write another file and rename
// it, and there is no such moment.
//
// Whatever else goes wrong with the file has no verdict either: it is a fault
// of this director.
type File struct {
	Path   string // absolute
	Wanted string // FileExists, FileMissing or FileContent
}

// Kind returns "file".
func (File) Kind() string { return "file" }

// portless says that a target without a port will do.
func (File) portless() {}

// Validate says what is wrong with the parameters of a file check, beginning
// with the name of the parameter.
func (f File) Validate() error {
	switch {
	case !filepath.IsAbs(f.Path) || strings.ContainsRune(f.Path, 0):
		return fmt.Errorf("path %q is not absolute: such as \"/run/maintenance\"", f.Path)
	case f.Wanted != FileExists && f.Wanted != FileMissing && f.Wanted != FileContent:
		return fmt.Errorf("wanted %q is unknown: %q, %q or %q", f.Wanted, FileExists, FileMissing, FileContent)
	}
	return nil
}

// fileChecker is the probe of one file. A file system that hangs cannot be
// interrupted, so a goroutine looks at the file, and only one at a time.
type fileChecker struct {
	file  File
	looks atomic.Bool // whether a goroutine is at it
}

// checker returns the probe of the file; the target does not matter.
func (f File) checker(endpoint) (Checker, error) { return &fileChecker{file: f}, nil }

// fileVerdict is what a look at the file comes to.
type fileVerdict struct {
	advice Advice
	err    error
}

// Check looks at the file once.
func (c *fileChecker) Check(ctx context.Context) (Advice, error) {
	if !c.looks.CompareAndSwap(false, true) {
		return Advice{}, hangs(c.file.Path)
	}
	done := make(chan fileVerdict, 1)
	go func() {
		advice, err := c.file.look()
		c.looks.Store(false)
		done <- fileVerdict{advice, err}
	}()
	return waitForLook(ctx, done, c.file.Path)
}

// waitForLook returns the verdict of a look at a file, or that there is none
// in time.
func waitForLook(ctx context.Context, done <-chan fileVerdict, path string) (Advice, error) {
	select {
	case verdict := <-done:
		return verdict.advice, verdict.err
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.Canceled) {
			return Advice{}, context.Canceled
		}
		return Advice{}, hangs(path)
	}
}

// hangs is the error of a file system that does not answer.
func hangs(path string) error {
	return &LocalError{Reason: path + ": the file system of this director does not answer"}
}

// look is the verdict of the file as it is.
func (f File) look() (Advice, error) {
	if f.Wanted == FileContent {
		return f.lookInside()
	}
	_, err := os.Stat(f.Path)
	missing := isMissing(err)
	switch {
	case err != nil && !missing:
		return Advice{}, f.local(err)
	case missing && f.Wanted == FileExists:
		return Advice{}, fmt.Errorf("there is no %s", excerpt(f.Path))
	case !missing && f.Wanted == FileMissing:
		return Advice{}, fmt.Errorf("there is %s", excerpt(f.Path))
	}
	return Advice{}, nil
}

// lookInside is the verdict of what stands in the file.
func (f File) lookInside() (Advice, error) {
	line, err := readStart(f.Path)
	if err != nil {
		return Advice{}, f.local(err)
	}
	said := parseStatement(line)
	switch {
	case said.words == 0 && said.alien == "":
		return Advice{}, f.local(errors.New("the first line is empty"))
	case said.alien != "":
		// A typing error beside "up" must not be an "up".
		return Advice{}, f.local(fmt.Errorf("%q is no weight, and none of up, drain, maint and down", excerpt(said.alien)))
	}
	return said.verdict("file")
}

// local is an error without a verdict.
func (f File) local(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		err = errno
	}
	return &LocalError{Reason: f.Path + " on this director: " + err.Error()}
}

// isMissing is whether an error says that there is no such file, which it is
// also if a directory on the way is none.
func isMissing(err error) bool {
	return errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ENOTDIR)
}

// readStart is the beginning of a regular file. It reads from no device and
// waits for nobody behind a FIFO.
func readStart(path string) (string, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	switch {
	case err != nil:
		return "", err
	case !info.Mode().IsRegular():
		return "", errors.New("this is no regular file")
	}
	start, err := io.ReadAll(io.LimitReader(file, maxWords))
	return string(start), err
}
