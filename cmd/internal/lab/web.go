package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
)

// Behaviour is what a web server does with a request.
type Behaviour int32

// The behaviours.
const (
	Answer   Behaviour = iota // 200 with the server's name
	Overload                  // 503 Service Unavailable
	Hang                      // the connection is accepted and nothing ever answered
)

// WebServer answers HTTP requests on a host with the host's name, one to a
// connection. It lives in this process: only its sockets are on the host.
type WebServer struct {
	host      *Host
	address   netip.AddrPort
	behaviour atomic.Int32
	server    *http.Server // nil while stopped
}

// NewWebServer returns a web server, not yet started, for port 80 of the
// host's first card.
func NewWebServer(host *Host) *WebServer {
	w := &WebServer{host: host, address: netip.AddrPortFrom(host.OwnAddresses()[0].Addr(), 80)}
	host.lab.onClose(w.Stop)
	return w
}

// StartWebServers starts a web server on each of the laboratory's web hosts.
func (l *Lab) StartWebServers() ([]*WebServer, error) {
	var servers []*WebServer
	for _, host := range l.Web {
		w := NewWebServer(host)
		if err := w.Start(); err != nil {
			return nil, err
		}
		servers = append(servers, w)
	}
	return servers, nil
}

// Host returns the host that the server is on.
func (w *WebServer) Host() *Host { return w.host }

// Address returns where the server listens.
func (w *WebServer) Address() netip.AddrPort { return w.address }

// Behave changes what the server does with requests from now on.
func (w *WebServer) Behave(b Behaviour) { w.behaviour.Store(int32(b)) }

// Start has the server listen. It must not be running.
func (w *WebServer) Start() error {
	var listener net.Listener
	err := w.host.Do(func() (err error) {
		listener, err = new(net.ListenConfig).Listen(context.Background(), "tcp", w.address.String())
		return err
	})
	if err != nil {
		return fmt.Errorf("web server on %s: %v", w.host.Name, err)
	}
	server := &http.Server{Handler: http.HandlerFunc(w.serve)}
	server.SetKeepAlivesEnabled(false)
	w.server = server
	go func() { _ = server.Serve(listener) }() // its error is that of Stop's Close
	return nil
}

// Stop closes the listening socket and all connections: from now on the host
// refuses connections. A stopped server is no error.
func (w *WebServer) Stop() error {
	if w.server == nil {
		return nil
	}
	err := w.server.Close()
	w.server = nil
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// serve answers one request in the manner of the present behaviour.
func (w *WebServer) serve(response http.ResponseWriter, request *http.Request) {
	switch Behaviour(w.behaviour.Load()) {
	case Hang:
		<-request.Context().Done()
	case Overload:
		http.Error(response, "overloaded", http.StatusServiceUnavailable)
	default:
		fmt.Fprintln(response, w.host.Name)
	}
}
