package ipvs

// WithoutMoby makes a connection to the real kernel write everything by itself.
func WithoutMoby(h Handle) Handle {
	h.(*kernel).forgetMoby()
	return h
}

// UsesMoby says whether a connection to the real kernel writes what it can
// through moby/ipvs.
func UsesMoby(h Handle) bool { return h.(*kernel).moby != nil }

// SetReceiveBuffer sets how much a connection to the real kernel holds of what
// it was told and has not received yet.
func SetReceiveBuffer(h Handle, size int) error {
	return h.(*kernel).conn.transport.(*socket).SetReceiveBufferSize(size, false)
}
