package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// How a download trickles.
const (
	downloadInterval = 250 * time.Millisecond // between lines, in each direction
	downloadLimit    = 20 * time.Second       // a connection without a line for so long is broken
	downloadPolls    = 20 * time.Millisecond
)

// ServeDownloads has the host serve downloads at an address: lines with its
// name and a number that counts up, for as long as the client wants them. What
// the client sends is read and thrown away. The laboratory's Close ends it.
func (h *Host) ServeDownloads(address netip.AddrPort) error {
	var listener net.Listener
	err := h.Do(func() (err error) {
		listener, err = new(net.ListenConfig).Listen(context.Background(), "tcp", address.String())
		return err
	})
	if err != nil {
		return fmt.Errorf("downloads of %s: %v", h.Name, err)
	}
	h.lab.onClose(listener.Close)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go h.serveDownload(conn)
		}
	}()
	return nil
}

// serveDownload sends lines until the client has closed or the connection has
// broken.
func (h *Host) serveDownload(conn net.Conn) {
	defer conn.Close()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _ = io.Copy(io.Discard, conn) // whatever its error, the client is gone
	}()
	ticker := time.NewTicker(downloadInterval)
	defer ticker.Stop()
	for number := 0; ; number++ {
		if _, err := fmt.Fprintf(conn, "%s %d\n", h.Name, number); err != nil {
			return
		}
		select {
		case <-gone:
			return
		case <-ticker.C:
		}
	}
}

// Downloads are connections that a client keeps open through a service, each
// with lines in both directions.
type Downloads struct {
	stop sync.Once
	done sync.WaitGroup
	all  []*download
}

// DownloadReport is what became of Downloads.
type DownloadReport struct {
	Servers map[string]int // connections by the real server that serves them
	Broken  map[string]int // connections that broke, by how
	Stall   time.Duration  // the longest time without a line on a connection that did not break
}

// Count returns how many connections broke.
func (r DownloadReport) Count() int {
	n := 0
	for _, broken := range r.Broken {
		n += broken
	}
	return n
}

// Download opens n connections to a service and waits until each has had its
// first line. Stop ends them.
func (h *Host) Download(target netip.AddrPort, n int) (*Downloads, error) {
	d := &Downloads{}
	h.lab.onClose(func() error { d.Stop(); return nil })
	err := h.Do(func() error {
		dialer := &net.Dialer{Timeout: downloadLimit}
		for i := range n {
			conn, err := dialer.DialContext(context.Background(), "tcp", target.String())
			if err != nil {
				return fmt.Errorf("download %d of %d of %v: %v", i+1, n, target, err)
			}
			one := &download{conn: conn, lines: bufio.NewReader(conn)}
			d.all = append(d.all, one)
			if err := one.next(); err != nil {
				return fmt.Errorf("download %d of %d of %v: first line: %v", i+1, n, target, err)
			}
		}
		return nil
	})
	if err != nil {
		d.Stop()
		return nil, err
	}
	for _, one := range d.all {
		d.done.Go(one.read)
		d.done.Go(one.write)
	}
	return d, nil
}

// AwaitAfter waits until each connection has broken, or has had a line after a
// moment: the service goes on.
func (d *Downloads) AwaitAfter(ctx context.Context, moment time.Time) error {
	for _, one := range d.all {
		for !one.settled(moment) {
			select {
			case <-ctx.Done():
				return fmt.Errorf("waiting for downloads to go on or to break: %v", ctx.Err())
			case <-time.After(downloadPolls):
			}
		}
	}
	return nil
}

// Report returns what has been seen up to now.
func (d *Downloads) Report() DownloadReport {
	r := DownloadReport{Servers: map[string]int{}, Broken: map[string]int{}}
	for _, one := range d.all {
		one.report(&r)
	}
	return r
}

// Stop closes all connections and returns what became of them before that. It
// can be called again.
func (d *Downloads) Stop() DownloadReport {
	r := d.Report()
	d.stop.Do(func() {
		for _, one := range d.all {
			one.conn.Close()
		}
	})
	d.done.Wait()
	return r
}

// download is one connection of Downloads.
type download struct {
	conn  net.Conn
	lines *bufio.Reader

	mu     sync.Mutex
	server string
	number int // of the line that must come next
	last   time.Time
	stall  time.Duration
	broken string // how it broke; empty: it has not
}

// next reads the line that must come now. A line of another server, or out of
// its order, is an error.
func (o *download) next() error {
	if err := o.conn.SetReadDeadline(time.Now().Add(downloadLimit)); err != nil {
		return err
	}
	line, err := o.lines.ReadString('\n')
	if err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.take(line, time.Now())
}

// take records a line that came now. The first one says who the server is.
func (o *download) take(line string, now time.Time) error {
	var server string
	var number int
	if _, err := fmt.Sscanf(line, "%s %d\n", &server, &number); err != nil {
		return fmt.Errorf("line %q: %w", line, errForeignLine)
	}
	if o.last.IsZero() {
		o.server, o.last = server, now
	}
	if server != o.server || number != o.number {
		return fmt.Errorf("line %q, want %s %d: %w", line, o.server, o.number, errForeignLine)
	}
	o.stall = max(o.stall, now.Sub(o.last))
	o.number, o.last = number+1, now
	return nil
}

// errForeignLine is a line that cannot have come by this connection.
var errForeignLine = errors.New("wrong data")

// read takes lines until the connection breaks or is closed, and notes how it
// broke.
func (o *download) read() {
	var err error
	for err == nil {
		err = o.next()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.broken = breakage(err)
}

// breakage puts into one word how a connection broke; empty: it was closed
// here.
func breakage(err error) string {
	switch {
	case errors.Is(err, net.ErrClosed):
		return ""
	case errors.Is(err, errForeignLine):
		return "wrong data"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF):
		// The servers never close first: it is a reset of which the kernel has
		// told the writer, as it tells one of them only.
		return "reset"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		return "timeout"
	}
	return err.Error()
}

// write sends lines until the connection breaks or is closed, so that a
// director without the connection gets the chance to reset it.
func (o *download) write() {
	for number := 0; ; number++ {
		if _, err := fmt.Fprintln(o.conn, number); err != nil {
			return
		}
		time.Sleep(downloadInterval)
	}
}

// settled says whether the connection has broken or gone on after a moment.
func (o *download) settled(moment time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.broken != "" || o.last.After(moment)
}

// report adds the connection to a report.
func (o *download) report(r *DownloadReport) {
	o.mu.Lock()
	defer o.mu.Unlock()
	r.Servers[o.server]++
	if o.broken != "" {
		r.Broken[o.broken]++
		return
	}
	r.Stall = max(r.Stall, o.stall)
}
