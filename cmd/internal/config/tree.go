package config

import (
	"cmp"
	"fmt"
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
		g := &grower{file: file.Name, at: scan(text)}
		p.join(root, g.grow(nil, tree))
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
	_, err = toml.Decode(text, &tree)
	return tree, err
}

// grower makes a tree out of what the decoder returns and the positions.
type grower struct {
	file string
	at   positions
	path []byte // where paths are put together
	free []node // nodes that are to be used
}

// nodesAtOnce is how many nodes are made at once.
const nodesAtOnce = 64

// grow returns the tree of the value at a path.
func (g *grower) grow(path []byte, value any) *node {
	n := g.node(path)
	switch value := value.(type) {
	case map[string]any:
		n.table, n.names = make(map[string]*node, len(value)), make([]string, 0, len(value))
		for key, element := range value {
			g.path = appendKey(g.path[:0], n.key, key)
			n.table[key] = g.grow(g.path, element)
			n.names = append(n.names, key)
		}
		slices.SortFunc(n.names, func(a, b string) int { return cmp.Compare(n.table[a].seq, n.table[b].seq) })
	case []map[string]any:
		g.elements(n, len(value), func(i int) any { return value[i] })
	case []any:
		g.elements(n, len(value), func(i int) any { return value[i] })
	default:
		n.scalar = value
	}
	return n
}

// elements grows the elements of an array.
func (g *grower) elements(n *node, count int, element func(int) any) {
	n.isList, n.array = true, make([]*node, count)
	for i := range n.array {
		g.path = appendIndex(g.path[:0], n.key, i)
		n.array[i] = g.grow(g.path, element(i))
	}
}

// node returns a new node with the place of a path.
func (g *grower) node(path []byte) *node {
	if len(g.free) == 0 {
		g.free = make([]node, nodesAtOnce)
	}
	n := &g.free[0]
	g.free = g.free[1:]
	where, found := g.at[string(path)]
	if !found {
		where.path = string(path)
	}
	n.place, n.seq = place{file: g.file, line: max(where.line, 1), key: where.path}, where.seq
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
