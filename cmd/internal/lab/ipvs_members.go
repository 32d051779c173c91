package lab

import (
	"fmt"
	"net/netip"
	"path/filepath"

	"github.com/moby/ipvs"
	"golang.org/x/sys/unix"
)

// MemberReader reads the real servers of single services out of a host's
// kernel, which costs far less than the whole of a large table.
type MemberReader struct{ handle *ipvs.Handle }

// NewMemberReader opens the table of a host, whose kernel must have IPVS: read
// it once before. Close it when done.
func (h *Host) NewMemberReader() (*MemberReader, error) {
	handle, err := ipvs.New(filepath.Join(namespaceDirectory, h.Namespace()))
	if err != nil {
		return nil, fmt.Errorf("IPVS table of %s: %v", h.Name, err)
	}
	return &MemberReader{handle}, nil
}

// Close ends the reading.
func (r *MemberReader) Close() error {
	r.handle.Close()
	return nil
}

// Members returns the real servers of a service of TCP that get connections:
// one of weight 0 gets none.
func (r *MemberReader) Members(service netip.AddrPort) (map[netip.AddrPort]bool, error) {
	list, err := r.handle.GetDestinations(&ipvs.Service{
		Address: service.Addr().AsSlice(), AddressFamily: unix.AF_INET,
		Protocol: unix.IPPROTO_TCP, Port: service.Port(),
	})
	if err != nil {
		return nil, fmt.Errorf("real servers of %v: %v", service, err)
	}
	members := make(map[netip.AddrPort]bool, len(list))
	for _, d := range list {
		address, _ := netip.AddrFromSlice(d.Address)
		if d.Weight > 0 {
			members[netip.AddrPortFrom(address.Unmap(), d.Port)] = true
		}
	}
	return members, nil
}
