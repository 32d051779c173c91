package worker

import (
	"encoding/gob"
	"io"
	"sync"
	"time"

	"bascule/checker"
)

// Of the methods that a worker answers, in the form of net/rpc.
const (
	methodChange   = "Checks.Change"
	methodNews     = "Checks.News"
	methodHistory  = "Checks.History"
	methodProblems = "Checks.Problems"
)

// ID is the number of a check between the two processes. It is used once.
type ID uint64

// Finding is what is known of a check.
type Finding struct {
	ID    ID
	Known checker.Known
	Since time.Time // as of checker.Pool.Since
}

// Assignment is a check to run, and what is known before.
type Assignment struct {
	Finding
	Spec checker.Spec
}

// Change is what becomes different of the checks to run.
type Change struct {
	Add    []Assignment
	Remove []ID
}

// None is the argument of a method that takes none: gob has no empty structure.
type None bool

// register tells gob of what a Spec can have in it.
var register = sync.OnceFunc(func() {
	for _, probe := range checker.Probes() {
		gob.Register(probe)
	}
})

// duplex is a pair of pipes as one connection.
type duplex struct {
	io.Reader
	io.Writer
	close func() error
}

// Close closes what there is to close.
func (d duplex) Close() error { return d.close() }
