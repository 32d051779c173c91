package config

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// node is a value of a TOML text with its place. One of table and array is
// set for these kinds; all others are in scalar.
type node struct {
	place
	seq    int
	scalar any // string, int64, float64, bool, time.Time, or a local time
	table  map[string]*node
	names  []string // the keys of table in the order of the files
	array  []*node
	isList bool // an array, which may be empty
}

// parse decodes all files and joins their trees. It returns false if a file
// has a mistake of syntax: what the others say would look incomplete.
func (p *problems) parse(files []File) (root *node, ok bool) {
	root, ok = &node{table: map[string]*node{}}, true
	if len(files) > 0 {
		root.place = place{file: files[0].Name, line: 1}
	}
	for _, file := range files {
		text := withoutMark(file.Content)
		tree, err := decode(text)
		if err != nil {
			p.syntax(file.Name, text, err)
			ok = false
			continue
		}
		g := grower{file: file.Name, at: scan(text)}
		p.join(root, g.grow("", tree))
	}
	return root, ok
}

// withoutMark removes the byte order mark that some editors write. All
// positions are counted from behind it.
func withoutMark(text string) string {
	return strings.TrimPrefix(text, "\xef\xbb\xbf")
}

// decode is the TOML decoder. Some of its internal errors are panics; text from
// outside must not end the daemon at a reload.
func decode(text string) (tree map[string]any, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the TOML decoder gave up: %v", r)
		}
	}()
	err = toml.Unmarshal([]byte(text), &tree)
	return tree, err
}

// grower makes a tree out of what the decoder returns and the positions.
type grower struct {
	file string
	at   positions
}

// grow returns the tree of a value.
func (g grower) grow(path string, value any) *node {
	where := g.at[path]
	n := &node{place: place{file: g.file, line: max(where.line, 1), key: path}, seq: where.seq}
	switch value := value.(type) {
	case map[string]any:
		n.table = make(map[string]*node, len(value))
		for key, element := range value {
			n.table[key] = g.grow(joinKey(path, key), element)
		}
		n.names = slices.SortedFunc(maps.Keys(n.table), func(a, b string) int {
			return cmp.Compare(n.table[a].seq, n.table[b].seq)
		})
	case []map[string]any:
		n.isList = true
		for i, element := range value {
			n.array = append(n.array, g.grow(joinIndex(path, i), element))
		}
	case []any:
		n.isList = true
		for i, element := range value {
			n.array = append(n.array, g.grow(joinIndex(path, i), element))
		}
	default:
		n.scalar = value
	}
	return n
}

// join adds the tables of a further file to a tree. What is no table in both
// may be given once.
func (p *problems) join(to, from *node) {
	for _, name := range from.names {
		added := from.table[name]
		present, ok := to.table[name]
		switch {
		case !ok:
			to.table[name] = added
			to.names = append(to.names, name)
		case present.table != nil && added.table != nil:
			p.join(present, added)
		default:
			p.add(added.place, "is given twice: also at %s", present.place)
		}
	}
}
