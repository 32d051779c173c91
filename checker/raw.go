package checker

import (
	"encoding/binary"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// rawAddress is an address of a socket in the form of the kernel.
type rawAddress struct {
	buffer unix.RawSockaddrInet6 // the larger of the two
	length uintptr
}

// newRawAddress returns an address in the form of the kernel.
func newRawAddress(address unix.Sockaddr) *rawAddress {
	r := new(rawAddress)
	switch a := address.(type) {
	case *unix.SockaddrInet4:
		in := (*unix.RawSockaddrInet4)(unsafe.Pointer(&r.buffer))
		*in = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: networkOrder(a.Port), Addr: a.Addr}
		r.length = unix.SizeofSockaddrInet4
	case *unix.SockaddrInet6:
		r.buffer = unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: networkOrder(a.Port), Addr: a.Addr, Scope_id: a.ZoneId}
		r.length = unix.SizeofSockaddrInet6
	}
	return r
}

// networkOrder is a number of which the memory has the higher byte first.
func networkOrder(port int) uint16 {
	return binary.NativeEndian.Uint16([]byte{byte(port >> 8), byte(port)})
}

// connectNow is connect(2) of a socket that does not block. The runtime does not
// hear of it: of a call that takes as long as this one, it would believe that it
// blocks, and have another thread take over each time. On a director that is busy,
// who then comes back from such a call is the last to go on. It does wait for what
// the whole machine is short of, such as memory.
func connectNow(fd int, to *rawAddress) error {
	_, _, errno := syscall.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&to.buffer)), to.length)
	if errno != 0 {
		return errno
	}
	return nil
}

// optionNow is setsockopt(2), which does not wait, as connectNow.
func optionNow[T int32 | unix.Linger](fd, level, name int, value T) error {
	_, _, errno := syscall.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), uintptr(level), uintptr(name),
		uintptr(unsafe.Pointer(&value)), unsafe.Sizeof(value), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// closeNow is close(2) of a socket that does not wait for it, as connectNow.
func closeNow(fd int) {
	_, _, _ = syscall.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
}

// readNow is read(2) of a socket that does not block, as connectNow.
func readNow(fd int, b []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// writeNow is send(2) of a socket that does not block, as connectNow.
func writeNow(fd int, b []byte) (int, error) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)),
		unix.MSG_NOSIGNAL, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// controlNow is epoll_ctl(2), which does not wait, as connectNow.
func controlNow(poller, call, fd int, event *unix.EpollEvent) error {
	_, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(poller), uintptr(call), uintptr(fd), uintptr(unsafe.Pointer(event)), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// eventsNow is epoll_wait(2) without waiting, as connectNow. Nothing can go wrong.
func eventsNow(poller int, events []unix.EpollEvent) int {
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(poller), uintptr(unsafe.Pointer(unsafe.SliceData(events))),
		uintptr(len(events)), 0, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}
