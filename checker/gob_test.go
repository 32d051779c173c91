package checker

import (
	"bytes"
	"encoding/gob"
	"go/ast"
	"go/parser"
	"go/token"
	"net/netip"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// kindsInSource returns the types that have a method Kind, sorted.
func kindsInSource(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if ok && f.Recv != nil && f.Name.Name == "Kind" {
				kinds = append(kinds, f.Recv.List[0].Type.(*ast.Ident).Name)
			}
		}
	}
	slices.Sort(kinds)
	return kinds
}

// Every kind of check can go to another process.
func TestProbesAreAll(t *testing.T) {
	var kinds []string
	for _, p := range Probes() {
		kinds = append(kinds, reflect.TypeOf(p).Name())
	}
	slices.Sort(kinds)
	if want := kindsInSource(t); !slices.Equal(kinds, want) {
		t.Errorf("%v, want %v", kinds, want)
	}
}

// fill gives every field of a probe, however deep, a value that is not zero.
func fill(t *testing.T, v reflect.Value) {
	t.Helper()
	switch content := v.Addr().Interface().(type) {
	case *Secret:
		*content = NewSecret("se\xffcret\x00")
		return
	case *Steps:
		steps, err := NewSteps(Step{StepSend, "a\xff\n"}, Step{StepExpect, "b"})
		if err != nil {
			t.Fatal(err)
		}
		*content = steps
		return
	case *Headers:
		headers, err := NewHeaders("X-A: 1", "X-B: 2")
		if err != nil {
			t.Fatal(err)
		}
		*content = headers
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i))
		}
	case reflect.String:
		v.SetString("text\xff\x00")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(-7)
	case reflect.Uint8:
		v.SetUint(1)
	default:
		t.Fatalf("a field of kind %s", v.Kind())
	}
}

// What comes out of gob is equal to what went in: the same key of a map.
func TestSpecByGob(t *testing.T) {
	for _, p := range Probes() {
		gob.Register(p)
		full := reflect.New(reflect.TypeOf(p)).Elem()
		fill(t, full)
		for _, spec := range []Spec{
			{Probe: p, Target: netip.MustParseAddrPort("192.0.2.1:80")},
			{
				Probe: full.Interface().(Probe), Target: netip.MustParseAddrPort("[fe80::1%eth0]:1"),
				Via:      Via{Source: netip.MustParseAddr("fe80::2%eth0"), Device: "eth0", Mark: 7, Namespace: "other"},
				Interval: time.Second, Quick: time.Millisecond, Timeout: 2, Delay: 3, Jitter: 4, Rise: 5, Fall: 6,
			},
		} {
			var wire bytes.Buffer
			if err := gob.NewEncoder(&wire).Encode(spec); err != nil {
				t.Errorf("%T: %v", p, err)
				continue
			}
			var got Spec
			if err := gob.NewDecoder(&wire).Decode(&got); err != nil || got != spec {
				t.Errorf("%T: %+v, want %+v; %v", p, got, spec, err)
			}
		}
	}
}
