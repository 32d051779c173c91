package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"
)

// The paths of the requests.
const (
	statusPath = "/status"
	reloadPath = "/reload"
)

// requestTimeout bounds how long a client may take to send its request.
const requestTimeout = 10 * time.Second

// Service is what the daemon does for the server.
type Service interface {
	// Status returns the present state. It does not wait for any loop.
	Status() Status
	// Reload reads the configuration again and applies the difference.
	Reload(ctx context.Context) (ReloadResult, error)
}

// Server answers requests on a unix socket.
type Server struct {
	listener net.Listener
	http     http.Server
}

// Listen opens the socket of a runtime directory, which must exist. A socket
// left by a process that has died is replaced; one that answers is an error.
func Listen(ctx context.Context, runtimeDir string, service Service) (*Server, error) {
	path := SocketPath(runtimeDir)
	if err := removeStale(ctx, path); err != nil {
		return nil, err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("control socket %s: %v", path, err)
	}
	// Who may open the socket may reload the configuration.
	if err := os.Chmod(path, 0o600); err != nil {
		_ = listener.Close()
		return nil, fmt.Errorf("control socket %s: %v", path, err)
	}
	s := &Server{listener: listener}
	s.http.Handler = handler(service)
	s.http.ReadHeaderTimeout = requestTimeout
	return s, nil
}

// removeStale deletes a socket that nobody listens on.
func removeStale(ctx context.Context, path string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		_ = conn.Close()
		return fmt.Errorf("control socket %s: another bascule is running with this runtime directory", path)
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case !errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("control socket %s: %v", path, err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("control socket %s: %v", path, err)
	}
	return nil
}

// Run answers requests until ctx ends, and removes the socket. It is called
// once; an error says that it ended before ctx did.
func (s *Server) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = s.http.Close() })
	defer stop()
	if err := s.http.Serve(s.listener); ctx.Err() == nil {
		return fmt.Errorf("control socket: %v", err)
	}
	return nil
}

// handler returns the requests of a service.
func handler(service Service) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+statusPath, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, service.Status())
	})
	mux.HandleFunc("POST "+reloadPath, func(w http.ResponseWriter, r *http.Request) {
		result, err := service.Reload(r.Context())
		if err != nil {
			answer(w, http.StatusUnprocessableEntity, failure{err.Error()})
			return
		}
		answer(w, http.StatusOK, result)
	})
	return mux
}

// answer writes a value as JSON.
func answer(w http.ResponseWriter, code int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	// The client may have gone; there is nobody else to tell.
	_ = json.NewEncoder(w).Encode(value)
}
