package config

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestScan(t *testing.T) {
	tests := []struct {
		name, text string
		want       string // "path line" in the order of the text
	}{
		{"empty", "", ""},
		{"comments only", "# a = 1\n\n \t# b\n", ""},
		{"pairs", "a = 1\n\nb = 'x' # c = 2\nc=true", "a 1, b 3, c 4"},
		{"line ends of DOS", "a = 1\r\nb = 2\r\n", "a 1, b 2"},
		{"dotted keys", "a.b . \"c d\" = 1\na.'e.f' = 2", `a 1, a.b 1, a.b."c d" 1, a."e.f" 2`},
		{"escapes in keys", `"\u00e9\"#" = 1`, `"é\"#" 1`},
		{"empty key", `"" = 1`, `"" 1`},
		{"tables", "[a]\nb = 1\n[ c . d ]\ne = 1\n[a.x]", "a 1, a.b 2, c 3, c.d 3, c.d.e 4, a.x 5"},
		{"table in front of its parent", "[a.b]\nx = 1\n[a]\ny = 1", "a 3, a.b 1, a.b.x 2, a.y 4"},
		{"table in front of both its parents", "[a.b.c]\n[a]\n[a.b]", "a 2, a.b 3, a.b.c 1"},
		{
			"arrays of tables", "[[a]]\nx = 1\n[[a]]\nx = 2\n[[a.b]]\ny = 1\n[a.c]\nz = 1",
			"a 1, a[0] 1, a[0].x 2, a[1] 3, a[1].x 4, a[1].b 5, a[1].b[0] 5, a[1].b[0].y 6, a[1].c 7, a[1].c.z 8",
		},
		{
			"arrays over lines", "a = [ # ]\n  1, # ,\n\n  [2,\n 3],\n]\nb = 1",
			"a 1, a[0] 2, a[1] 4, a[1][0] 4, a[1][1] 5, b 7",
		},
		{
			"inline tables", "a = { b = 1, c.d = [ { e = 2 }, {} ] }\nf = {}",
			"a 1, a.b 1, a.c 1, a.c.d 1, a.c.d[0] 1, a.c.d[0].e 1, a.c.d[1] 1, f 2",
		},
		{
			"inline tables over lines", "a = {\n  b = 1, # }\n  c = 2,\n}\nd = 1",
			"a 1, a.b 2, a.c 3, d 5",
		},
		{"brackets in strings", `a = ["]", '[', "\"]", "#"]` + "\nb = 1", "a 1, a[0] 1, a[1] 1, a[2] 1, a[3] 1, b 2"},
		{
			"strings over lines", "a = \"\"\"\nb = 1\n\\\"\"\"\\\n  c = 2\"\"\"\"\"\nd = '''\n\\'''\ne = \"\\\\\"\nf = 1",
			"a 1, d 5, e 7, f 8",
		},
		{"quotes at the end of a string", "a = ''''x''''\nb = \"\"\"\"\"\"\nc = ''\n", "a 1, b 2, c 3"},
		{"times", "a = 1979-05-27 07:32:00Z # b\nb = [ 07:32:00, 1979-05-27 ]", "a 1, b 2, b[0] 2, b[1] 2"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := checkScan(test.text); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(test.want, written(scan(test.text))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// written lists positions in their order.
func written(found positions) string {
	list := make([]string, len(found))
	for path, at := range found {
		list[at.seq] = fmt.Sprintf("%s %d", path, at.line)
	}
	return strings.Join(list, ", ")
}

// checkScan says where the scanner and the decoder disagree about the keys of
// a text, in either direction. It is "" for texts that are no TOML.
func checkScan(text string) string {
	text = withoutMark(text)
	tree, err := decode(text)
	if err != nil {
		return ""
	}
	found := scan(text)
	lines := 1 + strings.Count(text, "\n")
	var scanned, decoded []string
	for path, at := range found {
		scanned = append(scanned, path)
		if at.line < 1 || at.line > lines {
			return fmt.Sprintf("%s: line %d of %d", path, at.line, lines)
		}
	}
	walk("", tree, func(path string) { decoded = append(decoded, path) })
	slices.Sort(scanned)
	slices.Sort(decoded)
	if diff := cmp.Diff(decoded, scanned); diff != "" {
		return fmt.Sprintf("keys of %q (-decoder +scanner):\n%s", text, diff)
	}
	return ""
}

// walk calls visit with the path of everything in a decoded value.
func walk(path string, value any, visit func(string)) {
	if path != "" {
		visit(path)
	}
	switch value := value.(type) {
	case map[string]any:
		for key, element := range value {
			walk(joinKey(path, key), element, visit)
		}
	case []map[string]any:
		for i, element := range value {
			walk(string(appendIndex(nil, path, i)), element, visit)
		}
	case []any:
		for i, element := range value {
			walk(string(appendIndex(nil, path, i)), element, visit)
		}
	}
}

// Whatever the encoder writes, the scanner finds what the decoder finds.
func TestScanOfEncodedTrees(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b strings.Builder
		encoder := toml.NewEncoder(&b)
		encoder.Indent = rapid.SampledFrom([]string{"", "\t", "  "}).Draw(t, "indent")
		if err := encoder.Encode(drawTable(t, 3)); err != nil {
			t.Skip(err)
		}
		if diff := checkScan(b.String()); diff != "" {
			t.Fatal(diff)
		}
	})
}

// drawTable draws a table of values that TOML can express.
func drawTable(t *rapid.T, depth int) map[string]any {
	table := map[string]any{}
	for range rapid.IntRange(0, 4).Draw(t, "keys") {
		key := rapid.OneOf(rapid.StringMatching(`[a-c_-]{1,2}`), rapid.StringMatching(`[ .#"'\\\]=é]{0,3}`)).Draw(t, "key")
		table[key] = drawValue(t, depth)
	}
	return table
}

// drawValue draws a value, a table or an array.
func drawValue(t *rapid.T, depth int) any {
	kinds := 5
	if depth == 0 {
		kinds = 3
	}
	switch rapid.IntRange(1, kinds).Draw(t, "kind") {
	case 1:
		return rapid.Int64().Draw(t, "integer")
	case 2:
		return rapid.StringMatching(`[ab"'\\#\[\]{},=\n é]{0,8}`).Draw(t, "string")
	case 3:
		return rapid.Bool().Draw(t, "boolean")
	case 4:
		return drawTable(t, depth-1)
	}
	return drawArray(t, depth-1)
}

// drawArray draws an array of tables or one of numbers.
func drawArray(t *rapid.T, depth int) any {
	if rapid.Bool().Draw(t, "tables") {
		return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) map[string]any { return drawTable(t, depth) }), 1, 3).Draw(t, "array of tables")
	}
	return rapid.SliceOfN(rapid.Int64Range(0, 9), 0, 3).Draw(t, "array")
}

// The scanner finds the keys of whatever the decoder accepts, and ends on
// what it does not accept.
func FuzzScan(f *testing.F) {
	for _, kind := range []string{"good", "bad"} {
		for _, path := range examples(f, kind) {
			f.Add(readExample(f, path).Content)
		}
	}
	f.Add("a.'b'.\"c\" = [[1], {d.e = '''x''''}, \"\"\"\\\"\"\"\"] # [\n[[t]]\n[[t.u]]\n[t.u.v]\n")
	f.Add("x = {\n a = 1, # }\n}\ny = 1979-05-27 07:32:00.5-07:00\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		scan(text)
		if diff := checkScan(text); diff != "" {
			t.Error(diff)
		}
	})
}
