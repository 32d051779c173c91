package lab

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestDownloads downloads over a link that is lost for a moment, which nobody
// must notice but by a stall, then has one real server reset its connections.
func TestDownloads(t *testing.T) {
	t.Parallel()
	l := NewT(t)
	direct, err := l.AddDirect()
	if err != nil {
		t.Fatal(err)
	}
	address := addressPorts("192.168.56.21:7", "192.168.56.22:7")
	var downloads []*Downloads
	for i, host := range direct {
		if err := host.ServeDownloads(address[i]); err != nil {
			t.Fatal(err)
		}
		d, err := l.Client.Download(address[i], 3)
		if err != nil {
			t.Fatal(err)
		}
		downloads = append(downloads, d)
	}
	if err := direct[0].IsolateLinks(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	back := time.Now()
	if err := direct[0].RestoreLinks(); err != nil {
		t.Fatal(err)
	}
	// A connection that is killed on its host is reset for the client.
	if _, err := direct[1].Output(deadline(t), "ss", "--kill", "--numeric", "state", "established"); err != nil {
		t.Fatal(err)
	}
	wants := []DownloadReport{
		{Servers: map[string]int{"direct1": 3}, Broken: map[string]int{}},
		{Servers: map[string]int{"direct2": 3}, Broken: map[string]int{"reset": 3}},
	}
	for i, d := range downloads {
		if err := d.AwaitAfter(deadline(t), back); err != nil {
			t.Fatal(err)
		}
		got := d.Stop()
		if stalled := got.Stall >= time.Second; stalled != (i == 0) {
			t.Errorf("stall %d: %v", i, got.Stall)
		}
		got.Stall = 0
		if diff := cmp.Diff(wants[i], got); diff != "" {
			t.Errorf("downloads %d (-want +got):\n%s", i, diff)
		}
		if got.Count() != len(wants[i].Broken)*3 || d.Report().Count() != got.Count() {
			t.Errorf("%d broken, then %d", got.Count(), d.Report().Count())
		}
	}
	if _, err := l.Client.Download(addressPorts("192.168.56.22:8")[0], 1); err == nil || !strings.HasPrefix(err.Error(), "download 1 of 1 of 192.168.56.22:8: ") {
		t.Errorf("nobody there: %v", err)
	}
}

// TestDownloadLines reads lines that may and that may not come.
func TestDownloadLines(t *testing.T) {
	t.Parallel()
	start := time.Now()
	o := &download{}
	for i, line := range []string{"web1 0\n", "web1 1\n", "web1 2\n"} {
		if err := o.take(line, start.Add(time.Duration(i*i)*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	if o.stall != 3*time.Second || o.server != "web1" {
		t.Errorf("stall %v of %s, want 3s of web1", o.stall, o.server)
	}
	for _, line := range []string{"web2 3\n", "web1 4\n", "web1 2\n", "HTTP/1.1 400\n", "\n"} {
		if err := o.take(line, start); breakage(err) != "wrong data" {
			t.Errorf("line %q: %v, want wrong data", line, err)
		}
	}
}

// TestBreakage names the ways to break.
func TestBreakage(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]string{
		fmt.Errorf("read: %w", net.ErrClosed):      "",
		fmt.Errorf("read: %w", syscall.ECONNRESET): "reset",
		io.EOF: "reset",
		fmt.Errorf("read: %w", os.ErrDeadlineExceeded): "timeout",
		errors.New("odd"): "odd",
	} {
		if got := breakage(err); got != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
}
