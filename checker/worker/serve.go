package worker

import (
	"errors"
	"fmt"
	"io"
	"net/rpc"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"bascule/checker"
	"bascule/checker/internal/ordinary"
	"bascule/checker/internal/self"
)

// name is what a worker is called in a list of processes.
const name = "bascule-checks"

// newsInterval bounds the time until a worker answers that there is no news:
// the other process hears that it is alive.
const newsInterval = 5 * time.Second

// newsPause collects news: the daemon has better things to do than to wake up
// for each.
const newsPause = 5 * time.Millisecond

// outOfMemory is when the kernel kills a worker if memory is short: before the
// daemon (-900 in its unit), which replaces it, and after ordinary programs.
const outOfMemory = -500

// Serve runs the checks that request asks for and answers on answer, until
// request ends. It changes the process that it is called in, and is for one of
// its own: main calls it if Argument is the only one.
func Serve(request io.Reader, answer io.Writer) error {
	if err := prepare(); err != nil { // and go on: checks are needed
		fmt.Fprintf(os.Stderr, "bascule: process of the health checks: %v\n", err)
	}
	register()
	s := newService()
	defer s.close()
	server := rpc.NewServer()
	if err := server.RegisterName("Checks", s); err != nil {
		return err
	}
	ended := make(chan struct{})
	end := sync.OnceFunc(func() { close(ended) })
	go server.ServeConn(duplex{untilEnd{request, end}, answer, func() error { return nil }})
	<-ended // and not when all is answered: nobody waits for that any more
	return nil
}

// untilEnd is a reader that says when nothing more comes.
type untilEnd struct {
	io.Reader
	end func()
}

// Read reads, and tells the end.
func (r untilEnd) Read(buffer []byte) (int, error) {
	n, err := r.Reader.Read(buffer)
	if err != nil {
		r.end()
	}
	return n, err
}

// prepare puts off what the daemon has and its checks have no need of: they
// must neither run before the kernel's own work nor reach what the machine's
// network depends on.
func prepare() error {
	// Who ends the daemon with one of them may mean all of its processes. This
	// one ends with the daemon, and no sooner.
	signal.Ignore(syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM)
	return errors.Join(self.Name(name), ordinary.Scheduling(), ordinary.Expendable(outOfMemory), renounce(unix.CAP_NET_ADMIN))
}

// renounce gives up a capability in all threads. Sockets with a mark or a
// device need no more than CAP_NET_RAW. A program with C in it has threads that
// only the C library knows; one like that keeps what it has.
func renounce(capability int) error {
	header, data, err := ordinary.Capabilities()
	if err != nil {
		return fmt.Errorf("capget: %w", err)
	}
	for _, set := range []*uint32{&data[0].Effective, &data[0].Permitted, &data[0].Inheritable} {
		*set &^= 1 << capability
	}
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET,
		uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&data[0])), 0)
	if errno != 0 && !errors.Is(errno, syscall.ENOTSUP) {
		return fmt.Errorf("capset: %w", errno)
	}
	return nil
}

// service answers the other process. Its exported methods have the form that
// net/rpc asks for, each in a goroutine of its own.
type service struct {
	pool     *checker.Pool
	changing sync.Mutex    // held while the checks to run change
	news     chan struct{} // holds a value if there may be some

	mu     sync.Mutex // never held while the pool changes
	specs  map[ID]checker.Spec
	before map[checker.Spec]Finding // what was known when the check was assigned
	fresh  map[ID]bool              // there is news of it
}

// newService returns a service without checks.
func newService() *service {
	s := &service{
		news: make(chan struct{}, 1), specs: map[ID]checker.Spec{},
		before: map[checker.Spec]Finding{}, fresh: map[ID]bool{},
	}
	s.pool = checker.NewPool(s.report, checker.WithFound(s.found))
	return s
}

// close ends all checks.
func (s *service) close() {
	s.changing.Lock()
	defer s.changing.Unlock()
	s.pool.Close()
}

// found is what another worker has found out before.
func (s *service) found(spec checker.Spec) (checker.Known, time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.before[spec]
	return before.Known, before.Since
}

// report notes that there is news of a check.
func (s *service) report(spec checker.Spec, _ checker.Known) {
	s.mu.Lock()
	defer s.mu.Unlock()
	finding, ok := s.before[spec]
	if !ok {
		return
	}
	s.fresh[finding.ID] = true
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// Change changes the checks to run, and answers why some of them cannot be made,
// a line each. They could be when the other process tried it; they are left out
// until the next change.
func (s *service) Change(change Change, faulty *[]string) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	specs := s.add(change)
	if err := s.pool.Set(specs); err != nil {
		var good []checker.Spec
		for _, spec := range specs {
			if _, err := checker.New(spec); err != nil {
				*faulty = append(*faulty, err.Error())
				continue
			}
			good = append(good, spec)
		}
		slices.Sort(*faulty)
		if err := s.pool.Set(good); err != nil {
			return err
		}
	}
	s.remove(change.Remove)
	return nil
}

// add notes what is new, and returns all that is to be checked then.
func (s *service) add(change Change) []checker.Spec {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range change.Add {
		s.specs[a.ID], s.before[a.Spec] = a.Spec, a.Finding
	}
	gone := make(map[ID]bool, len(change.Remove))
	for _, id := range change.Remove {
		gone[id] = true
	}
	specs := make([]checker.Spec, 0, len(s.specs))
	for id, spec := range s.specs {
		if !gone[id] {
			specs = append(specs, spec)
		}
	}
	return specs
}

// remove forgets what is not checked any more.
func (s *service) remove(ids []ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		delete(s.before, s.specs[id])
		delete(s.specs, id)
		delete(s.fresh, id)
	}
}

// News waits a while for news and returns it.
func (s *service) News(_ None, findings *[]Finding) error {
	select {
	case <-s.news:
		time.Sleep(newsPause)
	case <-time.After(newsInterval):
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	*findings = make([]Finding, 0, len(s.fresh))
	for id := range s.fresh {
		spec := s.specs[id]
		*findings = append(*findings, Finding{id, s.pool.Known(spec), s.pool.Since(spec)})
	}
	clear(s.fresh)
	return nil
}

// History returns the latest results of a check.
func (s *service) History(id ID, results *[]checker.Past) error {
	s.mu.Lock()
	spec := s.specs[id]
	s.mu.Unlock()
	*results = s.pool.History(spec)
	return nil
}

// Problems returns those of the pool.
func (s *service) Problems(_ None, problems *[]string) error {
	*problems = s.pool.Problems()
	return nil
}
