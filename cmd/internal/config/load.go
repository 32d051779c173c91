package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// File is the text of a configuration file, and its name for errors.
type File struct {
	Name    string
	Content string
}

// dropIns is the directory of further files, beside the main one.
const dropIns = "conf.d"

// Load reads a configuration file and its drop-ins, the files conf.d/*.toml
// beside it, in the order of their names (hidden files are left out). A
// non-nil error is of type Errors.
func Load(path string) (*Configuration, error) {
	paths, err := dropInPaths(path)
	if err != nil {
		return nil, Errors{unreadable(filepath.Join(filepath.Dir(path), dropIns), err)}
	}
	var files []File
	var failed Errors
	for _, name := range append([]string{path}, paths...) {
		content, err := os.ReadFile(name)
		if err != nil {
			failed = append(failed, unreadable(name, err))
			continue
		}
		files = append(files, File{Name: name, Content: string(content)})
	}
	if len(failed) > 0 {
		return nil, failed
	}
	return Parse(files)
}

// dropInPaths lists the drop-ins of a configuration file. That there is no
// directory of them is no error.
func dropInPaths(path string) ([]string, error) {
	dir := filepath.Join(filepath.Dir(path), dropIns)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var paths []string
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasSuffix(name, ".toml") && !strings.HasPrefix(name, ".") {
			paths = append(paths, filepath.Join(dir, name))
		}
	}
	return paths, err
}

// unreadable is the error of a file as a whole, in the system's words.
func unreadable(name string, err error) Error {
	message := err.Error()
	var path *fs.PathError
	if errors.As(err, &path) {
		message = path.Err.Error()
	}
	return Error{File: name, Message: message}
}
