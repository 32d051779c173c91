package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"
)

// The paths of the requests.
const (
	statusPath   = "/status"
	reloadPath   = "/reload"
	overridePath = "/override"
	zeroPath     = "/zero"
	checksPath   = "/checks"
)

// requestTimeout bounds how long a client may take to send its request.
const requestTimeout = 10 * time.Second

// maxRequest bounds the body of a request, in bytes.
const maxRequest = 1 << 16

// Service is what the daemon does for the server.
type Service interface {
	// Status returns the present state. It does not wait for any loop.
	Status() Status
	// Checks returns the checks that match a request, in an order of their
	// own. It does not wait for any loop.
	Checks(request ChecksRequest) iter.Seq[Check]
	// Reload reads the configuration again and applies the difference.
	Reload(ctx context.Context) (ReloadResult, error)
	// Override carries out a decision about a real server.
	Override(ctx context.Context, request OverrideRequest) error
	// Zero sets the counters of virtual servers to zero.
	Zero(ctx context.Context, request ZeroRequest) error
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
	mux.HandleFunc("GET "+checksPath, func(w http.ResponseWriter, r *http.Request) {
		answerEach(w, service.Checks(readChecksRequest(r.URL.Query())))
	})
	mux.HandleFunc("POST "+reloadPath, func(w http.ResponseWriter, r *http.Request) {
		result, err := service.Reload(r.Context())
		if err != nil {
			answer(w, http.StatusUnprocessableEntity, failure{err.Error()})
			return
		}
		answer(w, http.StatusOK, result)
	})
	mux.HandleFunc("POST "+overridePath, command(service.Override))
	mux.HandleFunc("POST "+zeroPath, command(service.Zero))
	return mux
}

// command returns the handler of a request that is answered with nothing, or
// with the reason why it was not carried out.
func command[Request any](carryOut func(context.Context, Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var request Request
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(&request); err != nil {
			answer(w, http.StatusBadRequest, failure{"request not understood: " + err.Error()})
			return
		}
		if err := carryOut(r.Context(), request); err != nil {
			answer(w, http.StatusUnprocessableEntity, failure{err.Error()})
			return
		}
		answer(w, http.StatusOK, struct{}{})
	}
}

// answerEach writes values as one list of JSON, one after the other: thousands
// of checks with their histories take no memory for all at once.
func answerEach[Value any](w http.ResponseWriter, values iter.Seq[Value]) {
	w.Header().Set("Content-Type", "application/json")
	buffer := bufio.NewWriterSize(w, answerBuffer)
	encoder := json.NewEncoder(buffer)
	before := "["
	for value := range values {
		_, _ = buffer.WriteString(before)
		if err := encoder.Encode(value); err != nil {
			return // the client may have gone; there is nobody else to tell
		}
		before = ","
	}
	if before == "[" {
		_, _ = buffer.WriteString(before)
	}
	_, _ = buffer.WriteString("]\n")
	_ = buffer.Flush()
}

// answerBuffer is how much of a long answer is collected before it is sent.
const answerBuffer = 16 << 10

// answer writes a value as JSON.
func answer(w http.ResponseWriter, code int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	// The client may have gone; there is nobody else to tell.
	_ = json.NewEncoder(w).Encode(value)
}
